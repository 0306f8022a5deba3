//! What the journal needs of a file system, so that the same journal code runs on one that loses
//! what was not synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::private;

/// What is in a directory under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// Whether it is a file, or leads to one: not a folder, a pipe, a link to nowhere.
    pub is_file: bool,
    /// Bytes of the file.
    pub len: u64,
}

/// The directory that holds a journal.
pub trait Directory: Clone + std::fmt::Debug + Send + 'static {
    /// A file that is written from its start on, or rewritten.
    type File: SegmentFile;

    /// For messages: where the directory is.
    fn path(&self) -> &Path;

    /// What is in it.
    ///
    /// # Errors
    /// Those of the file system.
    fn list(&self) -> io::Result<Vec<Entry>>;

    /// The whole content of a file.
    ///
    /// # Errors
    /// Those of the file system.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// The first `len` bytes of a file, fewer when it is shorter.
    ///
    /// # Errors
    /// Those of the file system.
    fn read_start(&self, name: &str, len: usize) -> io::Result<Vec<u8>>;

    /// Those bytes of a file, fewer when it ends before.
    ///
    /// # Errors
    /// Those of the file system.
    fn read_range(&self, name: &str, range: Range<u64>) -> io::Result<Vec<u8>>;

    /// Makes a new, empty file.
    ///
    /// # Errors
    /// Those of the file system; also when there is such a file.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file to be written over from its start; it is made when it is not there.
    ///
    /// # Errors
    /// Those of the file system.
    fn rewritable(&self, name: &str) -> io::Result<Self::File>;

    /// Makes a file's content this, in place: a file of the same length takes no more room than
    /// before. Synced.
    ///
    /// # Errors
    /// Those of the file system.
    fn overwrite(&self, name: &str, content: &[u8]) -> io::Result<()>;

    /// Cuts a file to `len` bytes, and syncs it.
    ///
    /// # Errors
    /// Those of the file system.
    fn truncate(&self, name: &str, len: u64) -> io::Result<()>;

    /// Has what was written to a file so far written to the disk, by a handle of its own: that this failed is told
    /// to those who sync the file, too.
    ///
    /// # Errors
    /// Those of the file system.
    fn write_out(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, which no other file has afterwards.
    ///
    /// # Errors
    /// Those of the file system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Deletes a file.
    ///
    /// # Errors
    /// Those of the file system.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes sure that the names in the directory are on the disk.
    ///
    /// # Errors
    /// Those of the file system.
    fn sync(&self) -> io::Result<()>;
}

/// A file that is written from its start on, or rewritten.
pub trait SegmentFile: std::fmt::Debug + Send {
    /// Writes the start of the slices behind what was written before, in a new file or over what was in
    /// it; returns how many bytes.
    ///
    /// # Errors
    /// Those of the file system.
    fn append(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Writes over the start of a file that [`Directory::rewritable`] opened, in place. Not synced.
    ///
    /// # Errors
    /// Those of the file system.
    fn rewrite(&mut self, content: &[u8]) -> io::Result<()>;

    /// Writes zeros there, behind what was appended. Further appends go on where the last one ended. Not synced.
    ///
    /// # Errors
    /// Those of the file system; also where a file cannot be written but at one place.
    fn fill(&mut self, range: Range<u64>) -> io::Result<()>;

    /// Makes sure that everything appended or rewritten is on the disk.
    ///
    /// # Errors
    /// Those of the file system. After an error it is unknown what is on the disk.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file to `len` bytes.
    ///
    /// # Errors
    /// Those of the file system.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// A directory of the operating system's.
#[derive(Clone, Debug)]
pub struct OsDirectory {
    path: PathBuf,
}

impl OsDirectory {
    /// That directory, which has to be there.
    ///
    /// # Errors
    /// Those of the file system; also when it is no directory.
    pub fn existing(path: &Path) -> io::Result<Self> {
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path: path.to_owned() })
    }

    /// That directory, which is made when it is not there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(path: &Path) -> io::Result<Self> {
        private::create_dir_all(path)?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Directory for OsDirectory {
    type File = File;

    fn path(&self) -> &Path {
        &self.path
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let file = fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file);
            Ok(Entry { name, is_file: file.is_some(), len: file.map_or(0, |file| file.len()) })
        };
        fs::read_dir(&self.path)?.map(entry).collect()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    fn read_start(&self, name: &str, len: usize) -> io::Result<Vec<u8>> {
        let mut start = Vec::with_capacity(len);
        File::open(self.path.join(name))?.take(len as u64).read_to_end(&mut start)?;
        Ok(start)
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path.join(name))?;
        file.seek(SeekFrom::Start(range.start))?;
        let len = range.end.saturating_sub(range.start);
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
        file.take(len).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn rewritable(&self, name: &str) -> io::Result<File> {
        let path = self.path.join(name);
        private::options().write(true).create(true).truncate(false).open(path)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        private::options().write(true).create_new(true).open(self.path.join(name))
    }

    fn overwrite(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let path = self.path.join(name);
        // Not truncated first: in place, so that it works when the disk is full.
        let mut file = private::options().write(true).create(true).truncate(false).open(path)?;
        file.write_all(content)?;
        file.set_len(content.len() as u64)?;
        file.sync_all()
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path.join(name))?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn write_out(&self, name: &str) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.path.join(name))?.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl SegmentFile for File {
    fn append(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored(slices)
    }

    fn rewrite(&mut self, content: &[u8]) -> io::Result<()> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::write_all_at(self, content, 0);
        #[cfg(not(unix))]
        {
            self.seek(SeekFrom::Start(0))?;
            self.write_all(content)
        }
    }

    #[cfg(unix)]
    fn fill(&mut self, range: Range<u64>) -> io::Result<()> {
        use std::os::unix::fs::FileExt;

        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        let mut at = range.start;
        while at < range.end {
            let len = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(ZEROS.len());
            self.write_all_at(&ZEROS[..len], at)?;
            at += len as u64;
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn fill(&mut self, _range: Range<u64>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}
