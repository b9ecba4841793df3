//! Images and audio: base64 in, bytes out, in parts.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use crate::event::Media;

/// Padding or none: both are sent.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One generation's media.
#[derive(Debug, Default)]
pub(super) struct Gallery {
    count: u32,
    /// Audio that is still coming, one for each choice that speaks.
    open: Vec<Audio>,
}

#[derive(Debug)]
struct Audio {
    choice: u32,
    index: u32,
    part: u32,
    mime: &'static str,
    /// Base64 digits that do not make whole bytes yet.
    carry: String,
}

impl Gallery {
    /// The image in a `data:` URL; `None` if it is another URL or not base64.
    pub(super) fn image(&mut self, url: &str) -> Option<Media> {
        let (mime, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
        let data = BASE64.decode(data.trim()).ok()?.into();
        let media = Media { mime: mime.to_owned(), data, index: self.count, part: 0, last: true };
        self.count += 1;
        Some(media)
    }

    /// The next part of a choice's audio; `None` if it is not base64.
    pub(super) fn audio(&mut self, choice: u32, base64: &str) -> Option<Media> {
        let at = self.open.iter().position(|audio| audio.choice == choice);
        let before = at.map_or("", |at| &self.open[at].carry);
        let digits = before.to_owned() + base64;
        let whole = if digits.ends_with('=') { digits.len() } else { digits.len() / 4 * 4 };
        let (now, later) = digits.split_at_checked(whole)?;
        let data: Bytes = BASE64.decode(now).ok()?.into();
        let at = at.unwrap_or_else(|| {
            let (index, mime) = (self.count, audio_mime(&data));
            self.count += 1;
            self.open.push(Audio { choice, index, part: 0, mime, carry: String::new() });
            self.open.len() - 1
        });
        let audio = &mut self.open[at];
        later.clone_into(&mut audio.carry);
        audio.part += 1;
        let (mime, part) = (audio.mime.to_owned(), audio.part - 1);
        Some(Media { mime, data, index: audio.index, part, last: false })
    }

    /// The last part of every audio; mostly empty, because only now it is known to be the last.
    pub(super) fn close(&mut self) -> impl Iterator<Item = (u32, Media)> {
        std::mem::take(&mut self.open).into_iter().map(|audio| {
            let data = BASE64.decode(&audio.carry).unwrap_or_default().into();
            let Audio { choice, index, part, mime, .. } = audio;
            (choice, Media { mime: mime.to_owned(), data, index, part, last: true })
        })
    }
}

/// Only the request says which format it asked for, so the first bytes must; a stream without a head is raw PCM.
fn audio_mime(data: &[u8]) -> &'static str {
    match data {
        [b'R', b'I', b'F', b'F', ..] => "audio/wav",
        [b'I', b'D', b'3', ..] | [0xFF, 0xE0..=0xFE, ..] => "audio/mpeg",
        [b'O', b'g', b'g', b'S', ..] => "audio/ogg",
        [b'f', b'L', b'a', b'C', ..] => "audio/flac",
        _ => "audio/pcm",
    }
}

/// Bytes as base64.
pub(super) fn base64(data: &[u8]) -> String {
    BASE64.encode(data)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_image_is_its_url_decoded() {
        let mut gallery = Gallery::default();
        let image = gallery.image("data:image/png;base64,iVBORw==").expect("an image");
        assert_eq!(
            (&*image.mime, &image.data[..], image.last),
            ("image/png", &b"\x89PNG"[..], true)
        );
        assert_eq!(gallery.image("https://example.org/a.png"), None);
        assert_eq!(gallery.image("data:image/png;base64,?"), None);
        assert_eq!(gallery.image("data:image/png;base64,iVBORw").expect("unpadded").index, 1);
    }

    proptest! {
        #[test]
        fn audio_may_be_cut_anywhere(data: Vec<u8>, cuts: Vec<prop::sample::Index>) {
            let text = base64(&data);
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            places.extend([0, text.trim_end_matches('=').len()]);
            places.sort_unstable();
            places.retain(|&place| place <= text.trim_end_matches('=').len());
            let mut gallery = Gallery::default();
            let mut parts: Vec<Media> = places
                .windows(2)
                .map(|pair| gallery.audio(1, &text[pair[0]..pair[1]]).expect("base64"))
                .collect();
            parts.extend(gallery.close().map(|(_, media)| media));
            prop_assert!(parts.iter().zip(0..).all(|(media, part)| media.part == part));
            let joined: Vec<u8> = parts.iter().flat_map(|media| media.data.clone()).collect();
            prop_assert_eq!(joined, data);
        }
    }
}
