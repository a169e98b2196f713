//! The data of a built bundle, in blocks that are read and held against their digests when they are first needed.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest;

/// The bytes of a block: what a file system reads at once.
pub(super) const BLOCK: usize = 4_096;

const DIGEST: usize = 32;

/// Bytes that can be read from anywhere, by many at once: a file, or a piece of memory.
pub trait ReadAt: fmt::Debug + Send + Sync {
    /// How many there are.
    fn size(&self) -> u64;

    /// Fills `into` with those from `at` on.
    ///
    /// # Errors
    /// Why not, in words.
    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<(), String>;
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<(), String> {
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let found = self.get(from..from.saturating_add(into.len())).ok_or("it ends before")?;
        into.copy_from_slice(found);
        Ok(())
    }
}

/// What was read is not what was built. The file was changed or damaged after it had been built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damaged(String);

impl Damaged {
    /// In words.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// The blocks, in pieces whose digests fill a block.
#[derive(Debug)]
pub(super) struct Blocks {
    bytes: Box<dyn ReadAt>,
    /// Where the digests begin; behind them, the first block.
    digests_at: u64,
    size: u64,
    /// The digest of each piece's digests.
    roots: Vec<u8>,
    pieces: Vec<OnceLock<Piece>>,
}

/// Blocks whose digests were read together.
#[derive(Debug)]
struct Piece {
    digests: Box<[u8]>,
    blocks: Box<[OnceLock<Box<[u8]>>]>,
}

/// How many blocks a piece has.
const PIECE: usize = BLOCK / DIGEST;

/// How many bytes the digests of so many bytes of data have.
const fn digests(size: u64) -> u64 {
    size.div_ceil(BLOCK as u64).saturating_mul(DIGEST as u64)
}

/// Where the data ends whose digests begin there.
pub(super) const fn end(digests_at: u64, size: u64) -> u64 {
    digests_at.saturating_add(digests(size)).saturating_add(size)
}

impl Blocks {
    pub(super) fn new(
        bytes: Box<dyn ReadAt>,
        digests_at: u64,
        size: u64,
        roots: Vec<u8>,
    ) -> Result<Self, Damaged> {
        let count = usize::try_from(digests(size).div_ceil(BLOCK as u64)).unwrap_or(usize::MAX);
        if roots.len() != count.saturating_mul(DIGEST) {
            return Err(Damaged::new("its manifest does not have a digest for each block"));
        }
        let mut pieces = Vec::new();
        pieces.resize_with(count, OnceLock::new);
        Ok(Self { bytes, digests_at, size, roots, pieces })
    }

    /// Where the last ends.
    pub(super) fn end(&self) -> u64 {
        end(self.digests_at, self.size)
    }

    /// What stands in the file up to there, as it stands there now.
    pub(super) fn file(&self) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; usize::try_from(self.end()).map_err(|error| error.to_string())?];
        self.bytes.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads all of them.
    pub(super) fn check(&self) -> Result<(), Damaged> {
        let count = usize::try_from(self.size.div_ceil(BLOCK as u64)).unwrap_or(usize::MAX);
        (0..count).try_for_each(|number| self.fetch(number, self.piece(number)?).map(drop))
    }

    /// A block, as it was built.
    fn block(&self, number: usize) -> Result<&[u8], Damaged> {
        let piece = self.piece(number)?;
        let place = piece.blocks.get(number % PIECE).ok_or_else(behind_the_end)?;
        if let Some(block) = place.get() {
            return Ok(block);
        }
        // Two that need the same block at once both read it, and one of them keeps it.
        let block = self.fetch(number, piece)?;
        Ok(place.get_or_init(|| block))
    }

    /// The piece of a block, whose digests are those that were built.
    fn piece(&self, number: usize) -> Result<&Piece, Damaged> {
        let place = self.pieces.get(number / PIECE).ok_or_else(behind_the_end)?;
        if let Some(piece) = place.get() {
            return Ok(piece);
        }
        let number = number / PIECE;
        let from = number as u64 * BLOCK as u64;
        let digests = self.read(self.digests_at + from, digests(self.size) - from)?;
        if !is_of(&digests, &self.roots, number) {
            return Err(Damaged::new(format!(
                "the digests from block {} on are not those that were built",
                number * PIECE
            )));
        }
        let blocks = (0..digests.len() / DIGEST).map(|_| OnceLock::new()).collect();
        Ok(place.get_or_init(|| Piece { digests, blocks }))
    }

    fn fetch(&self, number: usize, piece: &Piece) -> Result<Box<[u8]>, Damaged> {
        let from = number as u64 * BLOCK as u64;
        let left = self.size.checked_sub(from).filter(|left| *left > 0).ok_or_else(behind_the_end)?;
        let block = self.read(self.digests_at + digests(self.size) + from, left)?;
        match is_of(&block, &piece.digests, number % PIECE) {
            true => Ok(block),
            false => Err(Damaged::new(format!("block {number} is not the one that was built"))),
        }
    }

    /// A block of the file, or what is left of it.
    fn read(&self, at: u64, left: u64) -> Result<Box<[u8]>, Damaged> {
        let length = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let mut block = vec![0; length].into_boxed_slice();
        let read = self.bytes.read_at(at, &mut block);
        read.map_err(|reason| Damaged::new(format!("it cannot be read at byte {at}: {reason}")))?;
        Ok(block)
    }
}

fn behind_the_end() -> Damaged {
    Damaged::new("it points behind its end")
}

/// Whether the digest at a place is that of these bytes.
fn is_of(bytes: &[u8], digests: &[u8], place: usize) -> bool {
    let expected = digests.get(place * DIGEST..(place + 1) * DIGEST);
    expected == Some(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// A part of the data, or of memory, with a beginning and an end.
#[derive(Clone, Debug)]
pub struct Section {
    from: From,
    at: usize,
    bytes: usize,
}

#[derive(Clone, Debug)]
enum From {
    Memory(Arc<[u8]>),
    Blocks(Arc<Blocks>),
}

impl Section {
    /// All of a piece of memory.
    #[must_use]
    pub fn of_memory(bytes: Vec<u8>) -> Self {
        Self { at: 0, bytes: bytes.len(), from: From::Memory(bytes.into()) }
    }

    pub(super) fn of_blocks(blocks: &Arc<Blocks>, at: u64, bytes: u64) -> Result<Self, Damaged> {
        let end = at.checked_add(bytes).filter(|end| *end <= blocks.size);
        match (usize::try_from(at), usize::try_from(bytes), end) {
            (Ok(at), Ok(bytes), Some(_)) => Ok(Self { from: From::Blocks(Arc::clone(blocks)), at, bytes }),
            _ => Err(behind_the_end()),
        }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The little-endian numbers from `at` on; quick where they do not go over the end of a block.
    ///
    /// # Errors
    /// [`Damaged`], also where they go over the end of the section.
    pub fn numbers<const N: usize>(&self, at: usize) -> Result<[u32; N], Damaged> {
        let bytes = self.bytes(at, N * 4)?;
        let mut numbers = [0; N];
        for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
            *number = u32::from_le_bytes(*bytes);
        }
        Ok(numbers)
    }

    /// So many bytes from `at` on.
    ///
    /// # Errors
    /// As [`Self::numbers`].
    pub fn bytes(&self, at: usize, length: usize) -> Result<Cow<'_, [u8]>, Damaged> {
        let end = at.checked_add(length).filter(|end| *end <= self.bytes);
        if end.is_none() {
            return Err(Damaged::new("it points behind the end of a section"));
        }
        let at = self.at + at;
        match &self.from {
            From::Memory(bytes) => Ok(Cow::Borrowed(bytes.get(at..at + length).unwrap_or_default())),
            From::Blocks(blocks) => {
                let (first, within) = (at / BLOCK, at % BLOCK);
                if within + length <= BLOCK {
                    let block = if length == 0 { &[] } else { blocks.block(first)? };
                    return Ok(Cow::Borrowed(block.get(within..within + length).unwrap_or_default()));
                }
                gather(blocks, at, length).map(Cow::Owned)
            }
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn all(&self) -> Result<Vec<u8>, Damaged> {
        self.bytes(0, self.bytes).map(Cow::into_owned)
    }

    /// A text.
    ///
    /// # Errors
    /// [`Damaged`], also where the bytes are not UTF-8.
    pub fn text(&self, at: usize, length: usize) -> Result<String, Damaged> {
        String::from_utf8(self.bytes(at, length)?.into_owned())
            .map_err(|_| Damaged::new("it holds a text that is none"))
    }
}

/// Bytes that go over the ends of blocks.
fn gather(blocks: &Blocks, at: usize, length: usize) -> Result<Vec<u8>, Damaged> {
    let (mut gathered, mut at) = (Vec::with_capacity(length), at);
    while gathered.len() < length {
        let block = blocks.block(at / BLOCK)?;
        let wanted = block.get(at % BLOCK..).unwrap_or_default();
        let wanted = wanted.get(..length - gathered.len()).unwrap_or(wanted);
        if wanted.is_empty() {
            return Err(behind_the_end());
        }
        gathered.extend_from_slice(wanted);
        at += wanted.len();
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of a file in which something was changed since.
    fn blocks(data: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Arc<Blocks> {
        let digests = |bytes: &[u8]| -> Vec<u8> {
            let digests = bytes.chunks(BLOCK).map(|block| digest::digest(&digest::SHA256, block));
            digests.flat_map(|digest| digest.as_ref().to_vec()).collect()
        };
        let of_data = digests(data);
        let mut file = vec![7; 10];
        file.extend(&of_data);
        file.extend(data);
        change(&mut file);
        Arc::new(Blocks::new(Box::new(file), 10, data.len() as u64, digests(&of_data)).unwrap())
    }

    #[test]
    fn what_goes_over_the_ends_of_blocks_is_put_together() {
        let data: Vec<u8> = (0..3 * BLOCK + 100).map(|byte| (byte % 251) as u8).collect();
        let blocks = blocks(&data, |_| {});
        let section = Section::of_blocks(&blocks, 0, data.len() as u64).unwrap();
        let memory = Section::of_memory(data.clone());
        for (at, length) in [
            (0, 0),
            (0, 1),
            (0, BLOCK),
            (BLOCK - 1, 2),
            (1, 2 * BLOCK),
            (3 * BLOCK, 100),
            (0, data.len()),
            (data.len(), 0),
        ] {
            let expected = &data[at..at + length];
            assert_eq!(section.bytes(at, length).unwrap().as_ref(), expected, "{at} {length}");
            assert_eq!(memory.bytes(at, length).unwrap().as_ref(), expected, "{at} {length}");
        }
        for section in [section, memory] {
            for (at, length) in [(data.len(), 1), (0, data.len() + 1), (usize::MAX, 2), (2, usize::MAX)] {
                assert!(section.bytes(at, length).is_err(), "{at} {length}");
            }
            assert_eq!(section.numbers::<2>(4).unwrap(), [0x0706_0504, 0x0b0a_0908]);
        }
    }

    #[test]
    fn a_block_that_was_changed_is_never_given() {
        let blocks = blocks(&[1; 2 * BLOCK], |file| file[10 + 2 * DIGEST + BLOCK] = 2);
        let section = Section::of_blocks(&blocks, 0, 2 * BLOCK as u64).unwrap();
        assert!(section.bytes(0, BLOCK).is_ok());
        let error = section.bytes(BLOCK - 1, 2).unwrap_err();
        assert_eq!(error.to_string(), "block 1 is not the one that was built");
    }

    #[test]
    fn there_are_as_many_pieces_as_there_have_to_be() {
        for count in [1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 3] {
            let data: Vec<u8> = (0..count * BLOCK - 5).map(|byte| (byte / BLOCK) as u8).collect();
            let blocks = blocks(&data, |_| {});
            blocks.check().unwrap();
            let section = Section::of_blocks(&blocks, 0, data.len() as u64).unwrap();
            assert!(section.all().unwrap() == data, "{count}");
            assert!(
                blocks.block(count).is_err() && Section::of_blocks(&blocks, 1, data.len() as u64).is_err()
            );
        }
        let many = blocks(&[3; (PIECE + 1) * BLOCK], |file| file[10 + PIECE * DIGEST] ^= 1);
        assert!(many.block(0).is_ok());
        let error = many.block(PIECE).unwrap_err().to_string();
        assert_eq!(error, "the digests from block 128 on are not those that were built");
    }
}
