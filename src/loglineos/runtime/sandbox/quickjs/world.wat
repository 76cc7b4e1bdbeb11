;; All that the JavaScript machine may ask of its world: an instant that stands still.
;; No import of it leads to the host: time is `now`, there is no zone but UTC, no entropy, no file,
;; no module and no function of the host. What it asks is paid for in fuel like everything else.
(module
  (type $store_instant (func (param i32 i64)))
  (type $store_zeros (func (param i32 i32)))
  ;; Filled by hands.wat, which may touch the machine's memory once there is one.
  (table (export "hands") 2 2 funcref)
  ;; The instant, in nanoseconds since 1970, and how often it was read.
  (global $now (export "now") (mut i64) (i64.const 0))
  (global $reads (export "reads") (mut i32) (i32.const 0))

  ;; Clock 0 is the time of day; all others measure durations, and none passes.
  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $at i32) (result i32)
    (if (i32.eqz (local.get $clock))
      (then (global.set $reads (i32.add (global.get $reads) (i32.const 1)))))
    (call_indirect (type $store_instant)
      (local.get $at)
      (select (global.get $now) (i64.const 0) (i32.eqz (local.get $clock)))
      (i32.const 0))
    (i32.const 0))
  (func (export "random_get") (param $at i32) (param $length i32) (result i32)
    (call_indirect (type $store_zeros) (local.get $at) (local.get $length) (i32.const 1))
    (i32.const 0))

  ;; 8 is EBADF: no file is open.
  (func (export "fd_close") (param i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_write") (param i32 i32 i32 i32) (result i32) (i32.const 8))

  (func (export "host_get_timezone_offset") (param i32 i32) (result i32) (i32.const 0))
  (func (export "host_interrupt") (result i32) (i32.const 0))
  (func (export "host_promise_rejection") (param i32 i32 i32))
  (func (export "host_module_normalize") (param i32 i32) (result i32) (i32.const 0))
  (func (export "host_module_load") (param i32 i32) (result i32) (i32.const 0))
  (func (export "host_call") (param i32 i32 i32 i32 i32) (result i32) (i32.const 0)))
