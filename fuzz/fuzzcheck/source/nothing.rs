//! There is nothing here: see the manifest.
