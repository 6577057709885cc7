//! Small plans that once broke something, kept in `tests/regressions` and run as tests.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::plan::Plan;

/// A plan that once broke something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regression {
    /// What it once broke, and why, in one line.
    pub broke: String,
    /// It.
    pub plan: Plan,
}

impl Regression {
    /// As JSON, one choice in a line.
    pub fn to_json(&self) -> String {
        let broke = serde_json::to_string(&self.broke).expect("a text can be written as JSON");
        format!("{{\n\"broke\": {broke},\n\"plan\": {}}}\n", self.plan.to_json())
    }

    /// Keeps it under `name`, which is a file name without its end; where that is.
    pub fn keep(&self, name: &str) -> Result<PathBuf, String> {
        let path = folder().join(name).with_extension("json");
        let written = std::fs::create_dir_all(folder()).and_then(|()| std::fs::write(&path, self.to_json()));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }
}

/// Reads a plan, or a regression with its plan.
pub fn read(path: &Path) -> Result<Plan, String> {
    let told = |error: String| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
    match serde_json::from_str::<Regression>(&text) {
        Ok(regression) => Ok(regression.plan),
        Err(_) => Plan::from_json(&text).map_err(told),
    }
}

/// All that are kept, in the order of their names.
pub fn all() -> Result<Vec<PathBuf>, String> {
    let files = std::fs::read_dir(folder()).map_err(|error| format!("{}: {error}", folder().display()))?;
    let mut paths: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
    paths.sort();
    Ok(paths)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")
}
