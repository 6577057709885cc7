//! Every input that fuzzing kept is replayed on stable: what was once found stays mended.

use std::path::Path;

use targets::TARGETS;

// A library there, a module of this test here: what is public there is not reachable from anywhere.
#[allow(unreachable_pub, dead_code)]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

#[test]
fn every_input_of_every_corpus_passes() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in TARGETS {
        let folder = corpora.join(name);
        let inputs: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("the corpus {} cannot be read: {error}", folder.display()))
            .map(|entry| entry.expect("a readable folder").path())
            .collect();
        assert!(!inputs.is_empty(), "the corpus {} is empty", folder.display());
        for input in inputs {
            target(&std::fs::read(&input).expect("a readable input"));
        }
    }
}
