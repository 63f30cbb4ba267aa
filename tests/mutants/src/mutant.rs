//! The mutants, as `cargo mutants --list --json --diff` describes them.

use serde_json::Value;

/// One change of the program.
#[derive(Clone)]
pub struct Mutant {
    /// Selects it in the program. Not 0, which selects none.
    pub number: usize,
    /// Such as `src/broker.rs:89:47: replace && with || in Broker<'_, S>::obtain`.
    pub name: String,
    pub file: String,
    pub genre: Genre,
    pub replacement: String,
    /// Where the replaced text begins and ends: line and column from 1, in characters.
    pub span: [(usize, usize); 2],
    /// Empty outside a function: a constant cannot have a switch.
    pub function: String,
    pub return_type: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Genre {
    /// A function returns this value at once.
    Value,
    Binary,
    Unary,
    Arm,
    Guard,
    Other,
}

/// # Panics
/// If cargo-mutants writes its list in another format.
pub fn read(list: &str) -> Vec<Mutant> {
    let list: Vec<Value> = serde_json::from_str(list).expect("the list of cargo-mutants");
    list.iter()
        .zip(1..)
        .map(|(mutant, number)| one(mutant, number))
        .collect()
}

fn one(mutant: &Value, number: usize) -> Mutant {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let position = |at: &str| {
        let part = |name: &str| mutant["span"][at][name].as_u64().expect("a position");
        let part = |name| usize::try_from(part(name)).expect("a small number");
        (part("line"), part("column"))
    };
    Mutant {
        number,
        name: text(&mutant["name"]),
        file: text(&mutant["file"]),
        genre: match mutant["genre"].as_str() {
            Some("FnValue") => Genre::Value,
            Some("BinaryOperator") => Genre::Binary,
            Some("UnaryOperator") => Genre::Unary,
            Some("MatchArm") => Genre::Arm,
            Some("MatchArmGuard") => Genre::Guard,
            _ => Genre::Other,
        },
        replacement: text(&mutant["replacement"]),
        span: [position("start"), position("end")],
        function: text(&mutant["function"]["function_name"]),
        return_type: text(&mutant["function"]["return_type"]),
    }
}
