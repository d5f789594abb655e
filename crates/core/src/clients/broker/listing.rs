//! Puts pages together to one listing and refuses it unless everything adds up. Pure: no I/O.

use std::collections::HashSet;

use super::page::Page;
use super::{BrokerError, BrokerInstance};

/// No platform is larger; a broker that claims more is broken.
const MAX_RESULTS: u64 = 1_000_000;
const MAX_PAGES: u32 = 100_000;

/// A listing that grows page by page.
pub(super) struct Listing {
    total_results: u64,
    total_pages: u32,
    read: u32,
    instances: Vec<BrokerInstance>,
    guids: HashSet<String>,
}

impl Listing {
    /// Starts with page 1, whose totals all other pages must repeat.
    pub(super) fn begin(first: Page) -> Result<Self, BrokerError> {
        if first.total_results > MAX_RESULTS || first.total_pages > MAX_PAGES {
            return Err(BrokerError::unreadable(1, "it announces more instances than any platform has"));
        }
        let mut listing = Self {
            total_results: first.total_results,
            total_pages: first.total_pages,
            read: 0,
            instances: Vec::new(),
            guids: HashSet::new(),
        };
        listing.add(first)?;
        Ok(listing)
    }

    /// The page to ask for next; none when all announced pages were read.
    pub(super) fn next_page(&self) -> Option<u32> {
        (self.read < self.total_pages).then(|| self.read.saturating_add(1))
    }

    /// Takes the next page in.
    pub(super) fn add(&mut self, page: Page) -> Result<(), BrokerError> {
        let number = self.read.saturating_add(1);
        if (page.total_results, page.total_pages) != (self.total_results, self.total_pages) {
            return Err(BrokerError::incomplete(format!("the totals changed on page {number}")));
        }
        // An empty listing may call its only page 0.
        if page.current_page != number && !(self.total_results == 0 && page.current_page == 0) {
            let got = page.current_page;
            return Err(BrokerError::incomplete(format!("asked for page {number}, got page {got}")));
        }
        if number >= self.total_pages && page.next_url.is_some_and(|url| !url.is_empty()) {
            return Err(BrokerError::incomplete("the last page points to a next one"));
        }
        for resource in page.resources {
            let instance = BrokerInstance::parse(resource)?;
            if !self.guids.insert(instance.guid.clone()) {
                return Err(BrokerError::incomplete(format!("{} is listed twice", instance.guid)));
            }
            self.instances.push(instance);
        }
        self.read = number;
        Ok(())
    }

    /// Hands the listing over when it holds exactly what was announced.
    pub(super) fn finish(self) -> Result<Vec<BrokerInstance>, BrokerError> {
        if u64::try_from(self.instances.len()).ok() != Some(self.total_results) {
            let (found, announced) = (self.instances.len(), self.total_results);
            return Err(BrokerError::incomplete(format!("{announced} instances announced, {found} listed")));
        }
        Ok(self.instances)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn page(total: u64, pages: u32, current: u32, next: Value, guids: &[&str]) -> Page {
        let resources: Vec<Value> = guids.iter().map(|g| json!({"guid_at_tenant": g, "id": 1})).collect();
        serde_json::from_value(json!({"total_results": total, "total_pages": pages, "current_page": current,
            "next_url": next, "prev_url": null, "resources": resources}))
        .unwrap()
    }

    fn read(pages: Vec<Page>) -> Result<usize, BrokerError> {
        let mut pages = pages.into_iter();
        let mut listing = Listing::begin(pages.next().unwrap())?;
        while listing.next_page().is_some() {
            listing.add(pages.next().unwrap())?;
        }
        listing.finish().map(|all| all.len())
    }

    #[test]
    fn pages_that_add_up_are_accepted() {
        let url = || json!("/instances?page=2");
        assert_eq!(read(vec![page(0, 0, 0, Value::Null, &[])]).unwrap(), 0);
        assert_eq!(read(vec![page(0, 1, 1, Value::Null, &[])]).unwrap(), 0);
        let two = vec![page(3, 2, 1, url(), &["a", "b"]), page(3, 2, 2, Value::Null, &["c"])];
        assert_eq!(read(two).unwrap(), 3);
    }

    #[test]
    fn pages_that_do_not_add_up_are_refused() {
        let n = || Value::Null;
        let cases = [
            ("fewer than announced", vec![page(3, 1, 1, n(), &["a", "b"])]),
            ("more than announced", vec![page(1, 1, 1, n(), &["a", "b"])]),
            ("no pages, but results", vec![page(2, 0, 1, n(), &[])]),
            ("a page twice", vec![page(2, 2, 1, n(), &["a"]), page(2, 2, 1, n(), &["a"])]),
            ("an instance twice", vec![page(2, 2, 1, n(), &["a"]), page(2, 2, 2, n(), &["a"])]),
            ("totals that change", vec![page(2, 2, 1, n(), &["a"]), page(3, 2, 2, n(), &["b"])]),
            ("a next page after the last", vec![page(1, 1, 1, json!("/instances?page=2"), &["a"])]),
            ("absurd totals", vec![page(u64::MAX, 1, 1, n(), &["a"])]),
        ];
        for (what, pages) in cases {
            assert!(read(pages).is_err(), "{what}");
        }
    }
}
