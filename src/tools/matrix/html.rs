//! A matrix as one page of HTML.

use super::Matrix;
use super::written::Facts;

/// The page.
#[must_use]
pub fn page(_matrix: &Matrix, _facts: Facts<'_>) -> String {
    String::new()
}
