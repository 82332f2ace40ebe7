"""The hot path: what runs inside the host's callbacks, jobs and waits, and writes the records.

Probes call only these functions. The native core (`host/native`) does the hottest of them in C, on the same records.

- `core`: `handle_runner`, `run_scheduled`, `known_pool`, `make_job`, `occupancy_of`, `run_job` and `run_with_token` of the core that is picked, the native
  or the Python one; and `handle_maker`, `io_runner`, `select_timer`, `scheduler`, `submitter`, `adjuster`, `collector`,
  `asking`, `operation`, `socket_timer`, `lock_enterer` and `lock_leaver`, which only the native one has.
- `thread_state`, the one writer of `records.current.here`: `handle_runner`, `run_scheduled` (what runs in a loop
  callback's place), `open_step`, `close_step`, `enter_loop`, `leave_loop`, `enter_job`, `leave_untraced`, `deliver`,
  `worker_here`, `begin_submit`, `take_submitted`, `swap_standing` (why those wake that are woken now), `begin_wait`, `end_wait` (the guard
  against waits inside waits), `note_freed`,
  `take_freed`, `enter_handler`, `leave_handler`, `set_phase`, `recent_run_queue_ns`, `forget_here`.
- `waits`, the one writer of waits: `record_wait`, `record_thread_wait`, `record_background_wait`, `name_waits`, `name_step`; and `thread_waits` in front
  of it for a thread's own waits: `waiter_here`, `keep_wait`, `called`, and `KEPT_NS`, below which a wait is summed.
- `task_steps`: `waker_now`, `close_wait`. Inside: `begin_callback`, `end_short`, `end_callback`, `end_step`, which
  write an activity's steps and blocks.
- `loop_history`, the writer of a loop's callbacks and of what it slept: `note_select`, `SLEEP_MIN_NS`, `STALL_MIN_NS`.
- `tasks`: `adopt`, `adopt_eager`, `end_task`, which write the tasks of a request.
- `jobs`: `job_of`, `timed_initializer`; `pools`: `pool_of`, `known_pool`, `watch_thread` (of no pool);
  `job_names`: `PLAIN`, the attribute by which a wrapper of ours names what it stands for.
- `open_request`: `open_request` and `end_request`, at a server's or a worker's task, with the `Arrival`; and its parts,
  `begin_root`, `claim` (by a SERVER span), `leave`, `name_request`, `finish`.
- `caller_headers`: `is_baggage`, `is_state`: which of a caller's headers may be read.
- `unfinished`: `record_open` where a session or a loop ends, `tell_open` of those that are open for long.
- `open_phase`: `begin`, and `end` of what that returns, which write phases; `error_name`.
- `recorder`: `Recorder`, `probe_failed`, `safely`, `logger`, and `active`, the session's recorder.

CPU time of steps and jobs is estimated by `host.cpu_meter` alone. Requests are judged and counted by the room `keeping`,
once each, at their end.
"""
