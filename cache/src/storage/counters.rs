//! What a shard counts, under the names of memcached's `stats`.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Events since the start, or since `stats reset`.
        ///
        /// ```
        /// use windhover_cache::storage::StorageCounters;
        ///
        /// let mut sum = StorageCounters::default();
        /// let mut shard = StorageCounters::default();
        /// shard.get_hits = 2;
        /// for _ in 0..3 {
        ///     sum.add(&shard);
        /// }
        /// // Under the names that `stats` tells them by.
        /// let mut hits = 0;
        /// sum.each(|name, count| hits += if name == "get_hits" { count } else { 0 });
        /// assert_eq!(hits, 6);
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct StorageCounters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl StorageCounters {
            /// Adds what another shard counted.
            pub fn add(&mut self, other: &Self) {
                $(self.$name = self.$name.wrapping_add(other.$name);)*
            }

            /// Every counter with its name, in memcached's order.
            pub fn each(&self, mut see: impl FnMut(&'static str, u64)) {
                $(see(stringify!($name), self.$name);)*
            }
        }
    };
}

impl StorageCounters {
    /// Counts a key that was asked for, or touched.
    pub fn count_read(&mut self, touch: bool, found: bool) {
        let (asked, hits, misses) = if touch {
            (&mut self.cmd_touch, &mut self.touch_hits, &mut self.touch_misses)
        } else {
            (&mut self.cmd_get, &mut self.get_hits, &mut self.get_misses)
        };
        *asked += 1;
        *hits += u64::from(found);
        *misses += u64::from(!found);
    }
}

counters! {
    /// Keys that were asked for.
    cmd_get,
    /// Values that came to be stored.
    cmd_set,
    /// `flush_all`
    cmd_flush,
    /// Keys that were touched, with and without reading them.
    cmd_touch,
    /// `me`
    cmd_meta,
    /// Keys that were there.
    get_hits,
    /// Keys that were not there.
    get_misses,
    /// Misses because the item had expired.
    get_expired,
    /// Misses because the item had been flushed.
    get_flushed,
    /// Deletions of what was not there.
    delete_misses,
    /// Deletions.
    delete_hits,
    /// Increments of what was not there.
    incr_misses,
    /// Increments.
    incr_hits,
    /// Decrements of what was not there.
    decr_misses,
    /// Decrements.
    decr_hits,
    /// Values to compare with what was not there.
    cas_misses,
    /// Values whose cas unique was the item's.
    cas_hits,
    /// Values whose cas unique was not the item's.
    cas_badval,
    /// Items that were touched.
    touch_hits,
    /// Touches of what was not there.
    touch_misses,
    /// Values above the limit of an item.
    store_too_large,
    /// Values above the memory of a shard.
    store_no_memory,
    /// Items that were stored.
    total_items,
    /// Items that made room while they could still be read.
    evictions,
    /// Evicted items that nobody had read.
    evicted_unfetched,
    /// Expired items that nobody had read.
    expired_unfetched,
    /// Items that were expired or flushed when their room was needed.
    reclaimed,
}
