//! Items that are set aside.

use std::fmt;

use bytes::Bytes;
use windhover_core::client::{Answer, Call, ReservationId, ServerId};
use windhover_core::memcache::kestrel::{QueueRead, ReadMode};
use windhover_core::memcache::request::Request;

use crate::hub::Reply;
use crate::queue::{item, reservation_lost};
use crate::{Client, Error, ErrorKind};

/// An item that a server has set aside for this client, with the connection that it did so on.
///
/// Nobody else gets the item until it is [confirmed](Self::confirm), which removes it for good, or
/// [aborted](Self::abort), which puts it back at the queue's head. Dropping the reservation closes
/// the connection, and the server puts the item back.
///
/// ```
/// use std::time::Duration;
/// use windhover_client::{Client, Error, Reservation};
///
/// /// Works until there is nothing to do for a while.
/// async fn work(client: &Client, send_mail: impl Fn(&[u8]) -> bool) -> Result<(), Error> {
///     let mails = client.queue("mails");
///     while let Some(mail) = mails.reserve_within(Duration::from_secs(1)).await? {
///         let mail: Reservation = mail;
///         if send_mail(mail.item()) {
///             mail.confirm().await?;
///         } else {
///             // For the next one who asks; so it is for whoever crashes before.
///             mail.abort().await?;
///         }
///     }
///     Ok(())
/// }
/// ```
#[must_use = "dropping a reservation puts its item back"]
pub struct Reservation {
    client: Client,
    queue: Bytes,
    item: Bytes,
    /// `None` once the connection was given back.
    id: Option<ReservationId>,
}

impl Reservation {
    pub(crate) fn new(
        client: Client,
        queue: Bytes,
        item: Bytes,
        reservation: ReservationId,
    ) -> Self {
        Self { client, queue, item, id: Some(reservation) }
    }

    /// The item.
    pub fn item(&self) -> &Bytes {
        &self.item
    }

    /// Removes the item for good, and returns it.
    ///
    /// # Errors
    /// [`Error`]: the item may come again, to this reader or another one.
    pub async fn confirm(mut self) -> Result<Bytes, Error> {
        self.finish(ReadMode::Close).await?;
        Ok(std::mem::take(&mut self.item))
    }

    /// Puts the item back at the queue's head.
    ///
    /// # Errors
    /// [`Error`]: the server puts it back all the same, once it has noticed that the connection is
    /// closed.
    pub async fn abort(mut self) -> Result<(), Error> {
        self.finish(ReadMode::Abort).await
    }

    /// Removes the item for good and reserves the next one of the same server, in one round trip.
    /// `None` where that server has none now.
    ///
    /// # Errors
    /// [`Error`]: the item may come again.
    pub async fn confirm_and_reserve(mut self) -> Result<Option<Self>, Error> {
        let (answer, _, reservation) = self.send(ReadMode::CloseOpen).await?;
        match (item(answer), reservation) {
            (Some(item), Some(reservation)) => {
                let (client, queue) = (self.client.clone(), self.queue.clone());
                Ok(Some(Self::new(client, queue, item, reservation)))
            }
            (None, Some(reservation)) => {
                self.client.release(reservation);
                Ok(None)
            }
            (_, None) => Ok(None),
        }
    }

    async fn finish(&mut self, mode: ReadMode) -> Result<(), Error> {
        let (answer, server, reservation) = self.send(mode).await?;
        if let Some(reservation) = reservation {
            self.client.release(reservation);
        }
        if answer.is_miss() {
            return Ok(());
        }
        let error = self.client.error_at(server, ErrorKind::unexpected(&answer));
        Err(error.with_key(&self.queue))
    }

    /// Sends a read on the reserved connection. While it is under way, or when it fails, dropping it
    /// closes the connection.
    async fn send(
        &mut self,
        mode: ReadMode,
    ) -> Result<(Answer, Option<ServerId>, Option<ReservationId>), Error> {
        let reservation = self.id.ok_or_else(reservation_lost)?;
        let read = QueueRead::new(&self.queue, mode);
        let prepared = self.client.prepare(&Request::QueueRead(read), Bytes::new())?;
        let call = Call::on_reservation(prepared, reservation);
        let Reply { outcome, server, reservation, .. } =
            self.client.submit(call, self.client.timeout).await;
        let answer = outcome?;
        self.id = None;
        Ok((answer, server, reservation))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(reservation) = self.id.take() {
            self.client.abandon(reservation);
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reservation({}, {} bytes)", self.queue.escape_ascii(), self.item.len())
    }
}
