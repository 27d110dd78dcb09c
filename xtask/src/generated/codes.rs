//! The error codes: one table in `src/error.rs`, from which the document and the TypeScript union
//! are made.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Expr, ExprLit, Ident, Item, Lit, LitInt, LitStr, Meta, Token};

const SOURCE: &str = "src/error.rs";

/// An entry of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    number: u32,
    /// Such as `STALE_LEASE`.
    text: String,
    /// Sentences, one line.
    explanation: String,
}

/// Reads the table out of the call of the macro `codes!`.
pub fn read() -> Result<Vec<Code>> {
    let source = fs::read_to_string(SOURCE).with_context(|| format!("cannot read {SOURCE}"))?;
    parse(&source).with_context(|| format!("cannot read the table of codes in {SOURCE}"))
}

fn parse(source: &str) -> Result<Vec<Code>> {
    let file = syn::parse_file(source)?;
    let table = file
        .items
        .iter()
        .find_map(|item| match item {
            Item::Macro(item) if item.mac.path.is_ident("codes") => Some(item.mac.tokens.clone()),
            _ => None,
        })
        .context("there is no call of the macro codes!")?;
    let entries = |input: ParseStream| {
        let mut codes = Vec::new();
        while !input.is_empty() {
            codes.push(input.parse()?);
        }
        Ok(codes)
    };
    Ok(entries.parse2(table)?)
}

/// `/// Explanation.` and `StaleLease = 8, "STALE_LEASE";`
impl Parse for Code {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let documentation = input.call(Attribute::parse_outer)?;
        input.parse::<Ident>()?;
        input.parse::<Token![=]>()?;
        let number = input.parse::<LitInt>()?.base10_parse()?;
        input.parse::<Token![,]>()?;
        let text = input.parse::<LitStr>()?.value();
        input.parse::<Token![;]>()?;
        let lines: Vec<String> = documentation.iter().filter_map(doc_line).collect();
        Ok(Self { number, text, explanation: lines.join(" ") })
    }
}

pub fn doc_line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &pair.value else {
        return None;
    };
    pair.path.is_ident("doc").then(|| line.value().trim().to_owned())
}

pub fn render_markdown(codes: &[Code]) -> String {
    let mut out = String::from(
        "<!-- Made by `cargo xtask build` from src/error.rs. Edit that file. -->\n\n\
         # Error codes\n\n\
         Every promise of the package that fails, fails with a `TabmqError` whose `code` is one\n\
         of these. The number is the code on the wire; neither it nor the text changes once\n\
         released.\n",
    );
    for Code { number, text, explanation } in codes {
        write!(out, "\n## {text}\n\n{explanation} (wire: {number})\n").expect("a String takes all");
    }
    out
}

pub fn render_typescript(codes: &[Code]) -> String {
    let mut out = String::from(
        "// Made by `cargo xtask build` from src/error.rs. Edit that file.\n\n\
         /** Every error code with its number on the wire. */\n\
         export const CODES = {\n",
    );
    for Code { number, text, explanation } in codes {
        writeln!(out, "{}  {text}: {number},", comment(explanation)).expect("a String takes all");
    }
    out.push_str(
        "} as const;\n\n\
         /** What went wrong, and so who can act on it; `docs/errors.md` explains each. */\n\
         export type Code = keyof typeof CODES;\n",
    );
    out
}

/// A documentation comment, broken before column 100 where it has to be.
pub fn comment(text: &str) -> String {
    const COLUMNS_MAX: usize = 100;
    let line = format!("  /** {text} */\n");
    if line.len() <= COLUMNS_MAX {
        return line;
    }
    let mut out = String::from("  /**\n");
    let mut line = String::from("   *");
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > COLUMNS_MAX {
            out.push_str(&line);
            out.push('\n');
            line = String::from("   *");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push_str("\n   */\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "macro_rules! codes { () => {} }\n\
                          codes! {\n/// Gone.\n/// Open it again.\nClosed = 1, \"CLOSED\";\n}\n";

    #[test]
    fn the_table_is_read_with_its_documentation() {
        let code = Code {
            number: 1,
            text: "CLOSED".to_owned(),
            explanation: "Gone. Open it again.".to_owned(),
        };
        assert_eq!(parse(SOURCE).unwrap(), [code]);
        assert!(parse("fn f() {}").is_err());
    }

    #[test]
    fn both_files_name_text_number_and_explanation() {
        let codes = parse(SOURCE).unwrap();
        let markdown = render_markdown(&codes);
        assert!(markdown.ends_with("\n## CLOSED\n\nGone. Open it again. (wire: 1)\n"));
        let typescript = render_typescript(&codes);
        assert!(typescript.contains("  /** Gone. Open it again. */\n  CLOSED: 1,\n"));
    }

    #[test]
    fn long_comments_are_broken() {
        let text = "word ".repeat(40);
        assert!(comment(text.trim()).lines().all(|line| line.len() <= 100));
    }
}
