//! Things by place that are made when they are first asked for.

use std::sync::OnceLock;

/// Of so many things those that were asked for, in pieces of [`PIECE`]: what was never asked for takes no room.
#[derive(Debug)]
pub(crate) struct Pieces<T>(Vec<OnceLock<Piece<T>>>);

type Piece<T> = Box<[OnceLock<T>]>;

const PIECE: usize = 64;

impl<T> Pieces<T> {
    /// Room for at least so many.
    pub(crate) fn of(places: usize) -> Self {
        let mut pieces = Vec::new();
        pieces.resize_with(places.div_ceil(PIECE), OnceLock::new);
        Self(pieces)
    }

    /// What is at a place, made by `make` if it is not there yet; two who ask at the same time may both make it, and one of
    /// the two is kept. `None` where there is no such place.
    ///
    /// # Errors
    /// Those of `make`; then nothing is kept.
    pub(crate) fn get_or_make<E>(
        &self,
        place: usize,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Option<Result<&T, E>> {
        let new = || (0..PIECE).map(|_| OnceLock::new()).collect();
        let found = self.0.get(place / PIECE)?.get_or_init(new).get(place % PIECE)?;
        Some(match found.get() {
            Some(made) => Ok(made),
            None => make().map(|made| found.get_or_init(|| made)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_made_once_and_where_it_has_a_place() {
        let pieces = Pieces::of(65);
        let ask = |place, answer: Result<u8, ()>| pieces.get_or_make(place, || answer);
        assert_eq!(ask(64, Err(())), Some(Err(())));
        assert_eq!(ask(64, Ok(1)), Some(Ok(&1)));
        assert_eq!(ask(64, Ok(2)), Some(Ok(&1)));
        assert_eq!(ask(0, Ok(3)), Some(Ok(&3)));
        assert_eq!(ask(128, Ok(4)), None);
        assert_eq!(Pieces::of(0).get_or_make(0, || Ok::<_, ()>(0)), None);
    }
}
