//! `GET /instances/{instance_id}/backups/{id}/download`: the stored bytes, all parts in a row, as one stream.

use std::collections::VecDeque;
use std::ops::Range;

use actix_web::body::SizedStream;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use backup_core::actions::download_backup::{Download, download_backup};
use backup_core::domain::backup::Backup;
use backup_core::objects::{Store, StoreError};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::share::{self, Share};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::handlers::{Answer, Core};
use crate::path::OfBackup;
use crate::word::Word;

/// Streams the stored bytes, or the range of them that `Range` asks for.
pub(crate) async fn show(core: Core, caller: Caller, of: OfBackup, request: HttpRequest) -> Answer {
    let is_read = *request.method() != Method::HEAD;
    let download = download_backup(&core, &caller.0, &of.guid, of.id, is_read).await?;
    let total = download.parts.iter().fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
    if Ok(total) != u64::try_from(download.backup.size) {
        tracing::error!(
            backup.id = of.id.0,
            expected = download.backup.size,
            found = total,
            "parts are missing in the store"
        );
        let description = "The store does not hold the whole backup.";
        return Err(ApiError::new(Word::BackupStoreFailed, description));
    }
    let tag = download.backup.checksum.as_ref().map(|checksum| format!("\"{checksum}\""));
    let (range, is_partial) = match wanted(&request, tag.as_deref(), total)? {
        Some(range) => (range, true),
        None => (0..total, false),
    };
    let mut answer = if is_partial { HttpResponse::PartialContent() } else { HttpResponse::Ok() };
    if is_partial {
        let last = range.end.saturating_sub(1);
        answer.insert_header((header::CONTENT_RANGE, format!("bytes {}-{last}/{total}", range.start)));
    }
    if let Some(tag) = tag {
        answer.insert_header((header::ETAG, tag));
    }
    let length = range.end.saturating_sub(range.start);
    let disposition = format!("attachment; filename=\"{}\"", file_name(&download.backup));
    Ok(answer
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header((header::CONTENT_DISPOSITION, disposition))
        .body(SizedStream::new(length, bytes(download, range).boxed_local())))
}

/// The range asked for: none for everything. Several ranges at once are answered with everything, as is allowed.
fn wanted(request: &HttpRequest, tag: Option<&str>, total: u64) -> Result<Option<Range<u64>>, ApiError> {
    let text = |name: header::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|known| Some(known) != tag) {
        return Ok(None);
    }
    let Some(spec) = text(header::RANGE).and_then(|range| range.strip_prefix("bytes=")) else {
        return Ok(None);
    };
    let Some((first, last)) = spec.split_once('-').map(|(first, last)| (first.trim(), last.trim())) else {
        return Ok(None);
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(total),
        (Ok(first), Err(_)) if last.is_empty() => first..total,
        (Err(_), Ok(count)) if first.is_empty() => total.saturating_sub(count)..total,
        _ => return Ok(None),
    };
    if range.start >= range.end {
        let description = format!("The backup has {total} bytes.");
        let error = ApiError::new(Word::RangeNotSatisfiable, description);
        return Err(match HeaderValue::from_str(&format!("bytes */{total}")) {
            Ok(value) => error.with_header(header::CONTENT_RANGE, value),
            Err(_) => error,
        });
    }
    Ok(Some(range))
}

/// The bytes of a range over all parts. Nothing is read ahead: what a slow reader does not take is not in memory.
fn bytes(download: Download, range: Range<u64>) -> impl Stream<Item = Result<Bytes, StoreError>> {
    let Download { backup, store, parts } = download;
    let mut begin = 0_u64;
    let pieces: VecDeque<(String, Range<u64>)> = parts
        .into_iter()
        .filter_map(|(path, size)| {
            let end = begin.saturating_add(size);
            let piece =
                range.start.max(begin).saturating_sub(begin)..range.end.min(end).saturating_sub(begin);
            begin = end;
            (piece.start < piece.end).then_some((path, piece))
        })
        .collect();
    let reading = Reading { store, pieces, read: Bytes::new(), share: Share::take() };
    stream::try_unfold(reading, Reading::next)
        .inspect_err(move |error| tracing::error!(backup.id = backup.id.0, %error, "a download broke off"))
}

/// What is left of a download.
struct Reading {
    store: Store,
    /// Parts of objects that were not read yet.
    pieces: VecDeque<(String, Range<u64>)>,
    /// What was read and not yet sent.
    read: Bytes,
    share: Share,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        if self.read.is_empty() {
            let Some((path, piece)) = self.pieces.front_mut() else { return Ok(None) };
            let end = piece.start.saturating_add(self.share.size()).min(piece.end);
            self.read = self.store.get_range(path, piece.start..end).await?;
            piece.start = end;
            if piece.start >= piece.end {
                self.pieces.pop_front();
            }
        }
        let slice = self.read.split_to(self.read.len().min(share::SLICE));
        Ok(Some((slice, self)))
    }
}

/// `<backup_id>.zst.age`: says what has to be undone.
fn file_name(backup: &Backup) -> String {
    let endings = backup.filter_plugins.iter().map(|filter| match filter.as_str() {
        "zstd" => ".zst",
        "gzip" => ".gz",
        "age" => ".age",
        "openssl-enc" => ".enc",
        _ => ".bin",
    });
    let name: String = std::iter::once(backup.backup_id.as_str()).chain(endings).collect();
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;
    use actix_web::http::StatusCode;
    use actix_web::test::TestRequest;

    use super::*;

    fn range(header: &str) -> Result<Option<Range<u64>>, ApiError> {
        wanted(&TestRequest::get().insert_header((header::RANGE, header)).to_http_request(), None, 100)
    }

    #[test]
    fn single_ranges_are_honoured_and_cut_to_what_is_there() {
        assert_eq!(range("bytes=0-0").unwrap(), Some(0..1));
        assert_eq!(range("bytes=10-").unwrap(), Some(10..100));
        assert_eq!(range("bytes=90-500").unwrap(), Some(90..100));
        assert_eq!(range("bytes=-5").unwrap(), Some(95..100));
        assert_eq!(range("bytes=-500").unwrap(), Some(0..100));
    }

    #[test]
    fn what_is_no_single_range_of_bytes_gets_everything() {
        for header in ["bytes=0-1,5-6", "bytes=5-4", "bytes=a-b", "bytes=-", "lines=1-2", "bytes"] {
            assert_eq!(range(header).unwrap(), None, "{header}");
        }
    }

    #[test]
    fn a_range_behind_the_end_cannot_be_satisfied() {
        for header in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(
                range(header).unwrap_err().status_code(),
                StatusCode::RANGE_NOT_SATISFIABLE,
                "{header}"
            );
        }
    }
}
