//! How PostgreSQL is set up for benchmarks.

/// What an operator of such a fleet would set; the rest are PostgreSQL's defaults, fsync and synchronous commits among them.
pub(crate) const SETTINGS: [(&str, &str); 7] = [
    ("shared_buffers", "2GB"),
    ("effective_cache_size", "8GB"),
    ("work_mem", "16MB"),
    ("maintenance_work_mem", "512MB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "15min"),
    ("random_page_cost", "1.1"),
];
