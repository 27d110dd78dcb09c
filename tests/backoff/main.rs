//! How long a failed delivery waits. `policies.json` has policies as users write them, as they
//! cross the border, and their waits. The package checks the first against the second; here the
//! second is checked against the third, and the table in `docs/failure.md` against the file.

use serde_json::Value;
use tabmq::options::Backoff;

const VECTORS: &str = include_str!("policies.json");
const PAGE: &str = include_str!("../../docs/failure.md");

fn vectors() -> Vec<Value> {
    serde_json::from_str(VECTORS).expect("a list of policies")
}

fn policy(wire: &Value) -> Backoff {
    let number = |name: &str| wire[name].as_u64();
    let small = |name: &str| u32::try_from(number(name).expect(name)).expect(name);
    Backoff {
        first_ms: number("firstMs").expect("firstMs"),
        factor_percent: small("factorPercent"),
        wait_ms_max: number("waitMsMax").expect("waitMsMax"),
        jitter_percent: small("jitterPercent"),
        step_ms: number("stepMs"),
        ladder_ms: wire["ladderMs"].as_array().map(|ladder| numbers(ladder)),
    }
}

fn numbers(list: &[Value]) -> Vec<u64> {
    list.iter().map(|number| number.as_u64().expect("a number")).collect()
}

fn time(ms: u64) -> String {
    match ms {
        ms if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}

#[test]
fn every_policy_gives_the_waits_that_are_documented() {
    for vector in vectors() {
        let (text, policy) = (vector["text"].as_str().expect("a text"), policy(&vector["wire"]));
        let waits = numbers(vector["waits_ms"].as_array().expect("waits"));
        let found: Vec<u64> = (1..=6).map(|failures| policy.wait_ms(failures)).collect();
        assert_eq!(found, waits, "{text}");
        let cells: Vec<String> = waits.iter().map(|wait_ms| time(*wait_ms)).collect();
        let row = format!("| `{text}` | {} |", cells.join(" | "));
        assert!(PAGE.contains(&row), "docs/failure.md lacks the row\n{row}");
    }
}

#[test]
fn the_jitter_goes_both_ways_and_never_above_the_cap() {
    let fixed = Backoff {
        first_ms: 1000,
        factor_percent: 100,
        wait_ms_max: 1100,
        jitter_percent: 20,
        step_ms: None,
        ladder_ms: None,
    };
    assert_eq!(fixed.range_ms(1), (800, 1100));
    assert_eq!(Backoff { jitter_percent: 500, ..fixed.clone() }.range_ms(1), (0, 1100));
    assert_eq!(Backoff { first_ms: 4, ..fixed }.range_ms(9), (4, 4));
}

#[test]
fn extreme_policies_end_and_do_not_overflow() {
    let extreme = Backoff {
        first_ms: u64::MAX,
        factor_percent: u32::MAX,
        wait_ms_max: u64::MAX,
        jitter_percent: u32::MAX,
        step_ms: None,
        ladder_ms: None,
    };
    assert_eq!(extreme.range_ms(u32::MAX).0, 0);
    let linear = Backoff { step_ms: Some(u64::MAX), ..extreme.clone() };
    assert_eq!(linear.wait_ms(u32::MAX), u64::MAX);
    let shrinking = Backoff { first_ms: 1000, factor_percent: 50, ..extreme.clone() };
    assert_eq!(
        [1, 2, 3, u32::MAX].map(|failures| shrinking.wait_ms(failures)),
        [1000, 500, 250, 0]
    );
    let fixed = Backoff { first_ms: 1, factor_percent: 100, ..extreme };
    assert_eq!(fixed.wait_ms(u32::MAX), 1);
}
