//! [`PublishedPage`]: the active set as a file that other processes map.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Weak};

use hotadd_page::{PageError, PageWriter};

use crate::partition::Partition;
use crate::published::Published;

/// A page that shows a partition's active set, made by [`Partition::publish_page`]. Dropping it tells readers that the partition
/// has ended, and removes the file.
#[derive(Debug)]
#[must_use = "dropping it removes the page"]
pub struct PublishedPage {
    published: Weak<Published>,
    number: u64,
}

impl PublishedPage {
    /// Whether the file is still at its path.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        let published = self.published.upgrade();
        published.is_some_and(|published| {
            published.pages.with(self.number, PageWriter::is_in_place) == Some(true)
        })
    }
}

impl PublishedPage {
    /// A descriptor of the page, by which another process can only read it, with
    /// [`SetPage::from_descriptor`](crate::SetPage::from_descriptor). Only a [sealed](Partition::publish_sealed_page) page is
    /// accepted there.
    ///
    /// # Errors
    /// If the kernel has no descriptor left, or if `/proc` is not mounted.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        let published = self.published.upgrade().ok_or(io::ErrorKind::NotFound)?;
        let descriptor = published.pages.with(self.number, PageWriter::descriptor);
        descriptor.ok_or(io::ErrorKind::NotFound)?
    }
}

impl Drop for PublishedPage {
    fn drop(&mut self) {
        if let Some(published) = self.published.upgrade() {
            drop(published.pages.take(self.number));
        }
    }
}

impl Partition {
    /// Publishes the active set as a page at this path, which other processes read with [`SetPage`](crate::SetPage). Each change
    /// of the set is in the page before any driver is called about it (A5). The folder must be one into which no other user can
    /// write. The owner of the file may read and write it, and `group` may read it.
    ///
    /// May be called on any thread, inside callbacks too.
    ///
    /// # Errors
    /// If the file cannot be made.
    ///
    /// ```
    /// use hotadd::hardware::Simulated;
    /// use hotadd::{HardwareId, Partition, SetPage};
    ///
    /// let partition = Partition::simulated(&Simulated::new(2, 1)?)?;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("demo.set");
    /// let _page = partition.publish_page(&path, None)?;
    ///
    /// // In any process:
    /// let page = SetPage::open(&path)?;
    /// assert_eq!(page.count(), 2);
    /// # partition.add(HardwareId(2))?;
    /// # assert_eq!(page.count(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_page(
        &self,
        path: &Path,
        group: Option<u32>,
    ) -> Result<PublishedPage, PageError> {
        let published = self.backend().published();
        let number = published.show(|set| PageWriter::create(path, group, set))?;
        Ok(PublishedPage { published: Arc::downgrade(published), number })
    }

    /// Publishes the active set as a page without a path, to be handed out by its [descriptor](PublishedPage::descriptor). Its length
    /// cannot change, so nobody can end its readers by truncating it.
    ///
    /// May be called on any thread, inside callbacks too.
    ///
    /// # Errors
    /// If the page cannot be made.
    pub fn publish_sealed_page(&self) -> Result<PublishedPage, PageError> {
        let published = self.backend().published();
        let number = published.show(PageWriter::sealed)?;
        Ok(PublishedPage { published: Arc::downgrade(published), number })
    }
}
