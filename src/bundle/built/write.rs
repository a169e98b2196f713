//! Writes built bundles. The same content makes the same bytes.

use aws_lc_rs::digest;

use super::blocks::BLOCK;
use super::{FORMAT, Head, MAGIC, PRELUDE, Span};

/// The data of a bundle that is being built.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    data: Vec<u8>,
}

impl Writer {
    /// Adds a section, which begins with a block.
    pub fn section(&mut self, name: impl Into<String>, bytes: &[u8]) -> Span {
        self.data.resize(self.data.len().next_multiple_of(BLOCK), 0);
        self.file(name, bytes)
    }

    /// Adds a file, right behind what was added before.
    pub fn file(&mut self, name: impl Into<String>, bytes: &[u8]) -> Span {
        let span = Span { name: name.into(), at: self.data.len() as u64, bytes: bytes.len() as u64 };
        self.data.extend_from_slice(bytes);
        span
    }

    /// The bundle, without signatures.
    ///
    /// # Errors
    /// In words, where the head cannot be written or is too long.
    pub fn finish(self, head: &Head) -> Result<Vec<u8>, String> {
        let head = serde_json::to_vec(head).map_err(|error| error.to_string())?;
        let too_long = |_| "the head is too long".to_owned();
        let mut manifest = u32::try_from(head.len()).map_err(too_long)?.to_le_bytes().to_vec();
        manifest.extend(head);
        let digests = |bytes: &[u8]| -> Vec<u8> {
            bytes
                .chunks(BLOCK)
                .flat_map(|block| digest::digest(&digest::SHA256, block).as_ref().to_vec())
                .collect()
        };
        let of_data = digests(&self.data);
        manifest.extend(digests(&of_data));
        let mut bundle = Vec::with_capacity(PRELUDE + manifest.len() + self.data.len());
        bundle.extend_from_slice(MAGIC);
        bundle.extend_from_slice(&FORMAT.to_le_bytes());
        bundle.extend_from_slice(&u32::try_from(manifest.len()).map_err(too_long)?.to_le_bytes());
        bundle.extend_from_slice(&(self.data.len() as u64).to_le_bytes());
        bundle.extend_from_slice(digest::digest(&digest::SHA256, &manifest).as_ref());
        bundle.extend(manifest);
        bundle.extend(of_data);
        bundle.extend(self.data);
        Ok(bundle)
    }
}
