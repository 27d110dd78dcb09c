//! Walks the tokens of a Rust file: comments are gone, and what stands inside a macro call is seen
//! too.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A token without its grouping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    /// Counted from 1.
    pub line: usize,
}

/// All tokens in order. Groups come as their opening mark, their content and their closing mark.
pub fn flatten(stream: &TokenStream) -> Vec<Token> {
    let mut tokens = Vec::new();
    push_all(stream, &mut tokens);
    tokens
}

/// Lines where the given tokens follow each other.
pub fn lines_of(tokens: &[Token], pattern: &[&str]) -> Vec<usize> {
    tokens
        .windows(pattern.len())
        .filter(|window| window.iter().zip(pattern).all(|(token, text)| token.text == *text))
        .map(|window| window[0].line)
        .collect()
}

fn push_all(stream: &TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream.clone() {
        match tree {
            TokenTree::Group(group) => push_group(&group, tokens),
            TokenTree::Ident(ident) => push(ident.to_string(), ident.span(), tokens),
            TokenTree::Punct(punct) => push(punct.as_char().to_string(), punct.span(), tokens),
            TokenTree::Literal(literal) => push(literal.to_string(), literal.span(), tokens),
        }
    }
}

fn push_group(group: &Group, tokens: &mut Vec<Token>) {
    let (open, close) = match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    };
    push(open.to_owned(), group.span_open(), tokens);
    push_all(&group.stream(), tokens);
    push(close.to_owned(), group.span_close(), tokens);
}

fn push(text: String, span: proc_macro2::Span, tokens: &mut Vec<Token>) {
    tokens.push(Token { text, line: span.start().line });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_found_in_macros_and_not_in_comments() {
        let stream = "// a.b()\nfn f() {\n    assert!(a.b());\n}\n".parse().unwrap();
        assert_eq!(lines_of(&flatten(&stream), &["a", ".", "b", "("]), [3]);
    }
}
