//! What it costs to find the filters that match a topic.

use divan::Bencher;
use divan::counter::ItemsCount;
use tabmq::limits::Limits;
use tabmq::rng::Rng;
use tabmq::topic::{Filter, FilterTrie, Topic};

fn main() {
    divan::main();
}

const TOPICS: usize = 1000;

fn words(rng: &mut Rng, wildcards: bool) -> String {
    let word = |rng: &mut Rng| match rng.below(if wildcards { 8 } else { 6 }) {
        6 => "*".to_owned(),
        7 => "#".to_owned(),
        _ => format!("w{}", rng.below(20)),
    };
    let count = 2 + rng.below(4);
    (0..count).map(|_| word(rng)).collect::<Vec<_>>().join(".")
}

#[divan::bench(args = [10, 1000, 10_000])]
fn match_topics(bencher: Bencher<'_, '_>, filters: u32) {
    let mut rng = Rng::new([5; 32]);
    let mut trie = FilterTrie::new();
    for value in 0..filters {
        let text = words(&mut rng, true);
        trie.insert(&Filter::parse(&text, &Limits::DEFAULTS).unwrap(), value);
    }
    let topics: Vec<String> = (0..TOPICS).map(|_| words(&mut rng, false)).collect();
    let mut found = Vec::new();
    bencher.counter(ItemsCount::new(TOPICS)).bench_local(|| {
        let mut matches = 0;
        for topic in &topics {
            found.clear();
            trie.matches(&Topic::parse(topic, &Limits::DEFAULTS).unwrap(), &mut found);
            matches += found.len();
        }
        matches
    });
}
