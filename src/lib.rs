//! tabmq.
