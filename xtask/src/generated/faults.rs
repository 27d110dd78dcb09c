//! The kinds of faults of the simulator and the safety rules that it can switch off: two tables in
//! the crate, from which the TypeScript tables are made. What only worlds with a hub have is left
//! out: the package has none.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};
use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Ident, Item, LitStr, Token};

use super::codes::{comment, doc_line};

const FAULTS: &str = "src/sim/fault.rs";
const RULES: &str = "src/rules.rs";

/// Both tables.
#[derive(Debug, PartialEq, Eq)]
pub struct Tables {
    faults: Vec<Fault>,
    rules: Vec<Rule>,
}

#[derive(Debug, PartialEq, Eq)]
struct Fault {
    /// Such as `node-died`.
    text: String,
    /// Such as `Moment`.
    per: String,
    of_hubs: bool,
    explanation: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Rule {
    name: String,
    of_hubs: bool,
    explanation: String,
}

pub fn read() -> Result<Tables> {
    let read = |path| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    parse(&read(FAULTS)?, &read(RULES)?).context("cannot read the tables of the simulator")
}

fn parse(faults: &str, rules: &str) -> Result<Tables> {
    Ok(Tables { faults: table(faults, "faults")?, rules: table(rules, "rules")? })
}

/// The entries in the call of a macro.
fn table<T: Parse>(source: &str, name: &str) -> Result<Vec<T>> {
    let file = syn::parse_file(source)?;
    let call = file.items.iter().find_map(|item| match item {
        Item::Macro(item) if item.mac.path.is_ident(name) => Some(item.mac.tokens.clone()),
        _ => None,
    });
    let tokens: TokenStream = call.with_context(|| format!("there is no call of {name}!"))?;
    let entries = |input: ParseStream| {
        let mut entries = Vec::new();
        while !input.is_empty() {
            entries.push(input.parse()?);
        }
        Ok(entries)
    };
    Ok(entries.parse2(tokens)?)
}

/// `/// Explanation.` and `NodeDied = Moment, "node-died";`, with `, hub` after the text if only
/// worlds with a hub have it.
impl Parse for Fault {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let explanation = explanation(input)?;
        input.parse::<Ident>()?;
        input.parse::<Token![=]>()?;
        let per = input.parse::<Ident>()?.to_string();
        input.parse::<Token![,]>()?;
        let text = input.parse::<LitStr>()?.value();
        let of_hubs = input.parse::<Option<Token![,]>>()?.is_some();
        if of_hubs {
            input.parse::<Ident>()?;
        }
        input.parse::<Token![;]>()?;
        Ok(Self { text, per, of_hubs, explanation })
    }
}

/// `/// Explanation.` and `lane_dedupe,`, with `= hub` after the name if nothing else needs it.
impl Parse for Rule {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let explanation = explanation(input)?;
        let name = input.parse::<Ident>()?.to_string();
        let of_hubs = input.parse::<Option<Token![=]>>()?.is_some();
        if of_hubs {
            input.parse::<Ident>()?;
        }
        input.parse::<Token![,]>()?;
        Ok(Self { name, of_hubs, explanation })
    }
}

fn explanation(input: ParseStream) -> syn::Result<String> {
    let documentation = input.call(Attribute::parse_outer)?;
    let lines: Vec<String> = documentation.iter().filter_map(doc_line).collect();
    Ok(lines.join(" "))
}

pub fn render(tables: &Tables) -> String {
    let mut out = format!(
        "// Made by `cargo xtask build` from {FAULTS} and {RULES}. Edit those files.\n\n\
         /** Every kind of fault, and what the number counts that says how often it occurs. */\n\
         export const FAULTS = {{\n"
    );
    for Fault { text, per, explanation, .. } in tables.faults.iter().filter(|f| !f.of_hubs) {
        let (key, per) = (key(text), per.to_lowercase());
        writeln!(out, "{}  {key}: \"{per}\",", comment(explanation)).expect("a String takes all");
    }
    out.push_str(
        "} as const;\n\n\
         /** The safety rules that a run may go without. */\n\
         export const SAFETY_RULES = {\n",
    );
    for Rule { name, explanation, .. } in tables.rules.iter().filter(|rule| !rule.of_hubs) {
        let text = serde_json::Value::from(explanation.as_str());
        writeln!(out, "{}", broken(name, &text.to_string())).expect("a String takes all");
    }
    out.push_str("} as const;\n");
    out
}

/// `  name: "text",`, in parts where it would be longer than a line may be.
fn broken(name: &str, text: &str) -> String {
    const COLUMNS_MAX: usize = 100;
    let line = format!("  {name}: {text},");
    if line.len() <= COLUMNS_MAX {
        return line;
    }
    let mut parts = vec![String::new()];
    for word in text.trim_matches('"').split_inclusive(' ') {
        let part = parts.last_mut().expect("there is one");
        if part.len() + word.len() > COLUMNS_MAX - 10 {
            parts.push(word.to_owned());
        } else {
            part.push_str(word);
        }
    }
    let parts: Vec<String> = parts.iter().map(|part| format!("\"{part}\"")).collect();
    format!("  {name}:\n    {},", parts.join("\n    + "))
}

/// Quoted where it has to be.
fn key(text: &str) -> String {
    if text.contains('-') { format!("\"{text}\"") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_are_read_with_their_documentation_and_rendered() {
        let faults = "faults! {\n/// Gone.\nNodeDied = Moment, \"node-died\";\n\
                      /// Shut.\nDoorDown = Moment, \"door-down\", hub;\n}\n";
        let rules = "rules! {\n/// Once,\n/// not twice.\nlane_dedupe,\n\
                     /// Asked.\ngrant_check = hub,\n}\n";
        let typescript = render(&parse(faults, rules).unwrap());
        assert!(typescript.contains("  /** Gone. */\n  \"node-died\": \"moment\",\n"));
        assert!(typescript.contains("  lane_dedupe: \"Once, not twice.\",\n"));
        assert!(!typescript.contains("door-down") && !typescript.contains("grant_check"));
        assert!(parse("fn f() {}", rules).is_err());
    }
}
