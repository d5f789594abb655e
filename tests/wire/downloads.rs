//! Section 2.1, `GET …/backups/{id}/download`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::skip;
use crate::target::Target;

pub(crate) async fn check(target: Target) {
    let api = &target.api;
    let instance = format!("/instances/{}", target.instance);
    let path = |backup: &Value| format!("{instance}/backups/{}", backup["id"]);
    let download = |backup: &Value| format!("{}/download", path(backup));

    let before = api.done_backup(&target.instance).await;
    if before["downloadable"] == false {
        api.get(&download(&before)).await.error(403, "NotDownloadable");
    } else {
        skip("403 of a backup under a generated key", "an instance whose owner never set a key");
    }
    let key = format!("wire suite's key {}", before["backup_id"]);
    api.put(&instance, json!({"encryption_key": key})).await.json(200);
    let before = api.get(&path(&before)).await.json(200);
    assert_eq!(before["downloadable"], false, "made with another key than the current own one");
    api.get(&download(&before)).await.error(403, "NotDownloadable");

    let backup = api.done_backup(&target.instance).await;
    if backup["downloadable"] == true {
        whole_and_ranges(&target, &download(&backup), size_of(&backup)).await;
        let v1 = api.get(&format!("/v1{}", download(&backup))).await;
        assert_eq!((v1.status, v1.body.len()), (200, size_of(&backup)));
    } else {
        skip("downloads", "allow_backup_download: true");
    }
    for backup in [before, backup] {
        api.delete(&path(&backup)).await.json(200);
        api.get(&download(&backup)).await.error(404, "NotFound");
    }
}

async fn whole_and_ranges(target: &Target, path: &str, size: usize) {
    let api = &target.api;
    let whole = api.get(path).await;
    assert_eq!((whole.status, whole.body.len()), (200, size), "{}", whole.what);
    assert_eq!(whole.header("content-length"), size.to_string());
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert!(whole.header("content-disposition").starts_with("attachment; filename="));
    let head = api.call(Method::HEAD, path).send().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), size.to_string());

    let last = size - 1;
    let middle = size / 2;
    for (range, first, end) in [
        ("bytes=0-0".to_owned(), 0, 0),
        (format!("bytes={}-{}", middle - 2, middle + 2), middle - 2, middle + 2),
        (format!("bytes={middle}-"), middle, last),
        ("bytes=-10".to_owned(), size - 10, last),
        (format!("bytes=10-{}", size * 2), 10, last),
    ] {
        let part = api.call(Method::GET, path).header("Range", &range).send().await;
        assert_eq!(part.status, 206, "{range}: {}", part.what);
        assert_eq!(part.header("content-range"), format!("bytes {first}-{end}/{size}"), "{range}");
        assert_eq!(part.header("content-length"), (end - first + 1).to_string(), "{range}");
        assert!(part.body == whole.body[first..=end], "{range}: other bytes");
    }
    let beyond = api.call(Method::GET, path).header("Range", &format!("bytes={size}-")).send().await;
    assert_eq!(beyond.status, 416, "{beyond}");
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
    let other = api.call(Method::GET, path).header("Range", "bytes=0-0").header("If-Range", "\"other\"");
    let other = other.send().await;
    assert_eq!((other.status, other.body.len()), (200, size), "{}", other.what);
    let tag = whole.header("etag").to_owned();
    let same = api.call(Method::GET, path).header("Range", "bytes=0-0").header("If-Range", &tag).send().await;
    assert_eq!((same.status, same.body.len()), (206, 1), "{}", same.what);
}

fn size_of(backup: &Value) -> usize {
    usize::try_from(backup["size"].as_u64().unwrap()).unwrap()
}
