//! The bounds of the tracking API.

/// How large and how many events may be.
///
/// The defaults are the tracking API's. Going over one is a [`DecodeError`](super::DecodeError) that says
/// which. Sizes are in bytes.
///
/// ```
/// use windhover_core::tracking::TrackingLimits;
///
/// let one_at_a_time = TrackingLimits::default().with_batch(1);
/// assert_eq!((one_at_a_time.event, one_at_a_time.batch), (1024 * 1024, 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackingLimits {
    /// Largest event as JSON, which is also the largest item that it becomes (tracking API: 1 MB).
    pub event: usize,
    /// Most events in one request (tracking API: 2,000).
    pub batch: usize,
    /// Most properties of an event, and of any object in it (tracking API: fewer than 255).
    pub properties: usize,
    /// Most elements of an array in an event (tracking API: fewer than 255).
    pub array: usize,
    /// Deepest nesting of objects and arrays inside one property (tracking API: 3).
    pub depth: usize,
    /// Largest body without its compression (tracking API: 10 MB).
    pub inflated: usize,
    /// How many times as large as before a body may be without its compression, from the size of
    /// one [`event`](Self::event) on; also what was read of it when so much had come out. Events that differ in nothing but their times and ids come to
    /// less than 300.
    pub ratio: usize,
}

impl Default for TrackingLimits {
    fn default() -> Self {
        Self {
            event: 1024 * 1024,
            batch: 2000,
            properties: 254,
            array: 254,
            depth: 3,
            inflated: 10 * 1024 * 1024,
            ratio: 500,
        }
    }
}

impl TrackingLimits {
    /// With another [`event`](Self::event).
    #[must_use]
    pub const fn with_event(mut self, event: usize) -> Self {
        self.event = event;
        self
    }

    /// With another [`batch`](Self::batch).
    #[must_use]
    pub const fn with_batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// With another [`properties`](Self::properties).
    #[must_use]
    pub const fn with_properties(mut self, properties: usize) -> Self {
        self.properties = properties;
        self
    }

    /// With another [`array`](Self::array).
    #[must_use]
    pub const fn with_array(mut self, array: usize) -> Self {
        self.array = array;
        self
    }

    /// With another [`depth`](Self::depth).
    #[must_use]
    pub const fn with_depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// With another [`inflated`](Self::inflated).
    #[must_use]
    pub const fn with_inflated(mut self, inflated: usize) -> Self {
        self.inflated = inflated;
        self
    }

    /// With another [`ratio`](Self::ratio).
    #[must_use]
    pub const fn with_ratio(mut self, ratio: usize) -> Self {
        self.ratio = ratio;
        self
    }
}
