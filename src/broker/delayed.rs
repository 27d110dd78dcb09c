//! Messages that wait for a time: when the next of each queue comes due.

use crate::broker::Broker;
use crate::broker::queue::Queue;
use crate::id::QueueId;
use crate::time::Now;

impl Broker {
    /// Makes delayed messages ready whose time has come.
    pub(super) fn wake_delayed(&mut self, now: Now) {
        while let Some(id) = self.delayed.pop_due(now.unix) {
            if let Some(queue) = self.state.queues.get_mut(&id) {
                queue.wake(now.unix, &mut self.state.beside);
            }
            self.dirty_queues.insert(id);
            self.watch_delayed(id);
        }
    }

    /// Of a log that was recovered.
    pub(super) fn watch_all_times(&mut self, now: Now) {
        self.resume_schedules(now);
        self.resume_questions(now);
        for queue in self.dirty_queues.clone() {
            self.watch_delayed(queue);
            self.watch_pause(queue);
        }
    }

    pub(super) fn watch_delayed(&mut self, id: QueueId) {
        if let Some(due_at) = self.state.queues.get(&id).and_then(Queue::due_at) {
            self.delayed.set(id, due_at);
        }
    }
}
