//! What hooks in native code call of the gateway: symbols of the program itself.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};

use arc_swap::ArcSwapOption;

use crate::driver::Attendant;
use crate::driver::saying::say;

/// Who does what hooks ask for; the functions have no place for it.
pub(super) static ATTENDANT: ArcSwapOption<Attendant> = ArcSwapOption::const_empty();

/// The addresses of all functions here, by which the linker keeps them.
pub(super) static ALL: Functions = Functions {
    store_data: TykStoreData,
    get_data: TykGetData,
    trigger_event: TykTriggerEvent,
    log: CoProcessLog,
};

#[derive(Clone, Copy)]
#[allow(dead_code, reason = "that they are there is their use")]
pub(super) struct Functions {
    store_data: unsafe extern "C" fn(*const c_char, *const c_char, c_int),
    get_data: unsafe extern "C" fn(*const c_char) -> *mut c_char,
    trigger_event: unsafe extern "C" fn(*const c_char, *const c_char),
    log: unsafe extern "C" fn(*const c_char, *const c_char),
}

/// A text of C; empty where there is none.
///
/// # Safety
/// It is null, or has its end.
unsafe fn text<'a>(text: *const c_char) -> &'a CStr {
    match text.is_null() {
        true => c"",
        // SAFETY: it is not null, and has its end.
        false => unsafe { CStr::from_ptr(text) },
    }
}

/// Keeps a text for so many seconds; zero and less: for ever.
///
/// # Safety
/// Texts are null, or have their end.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the names are the contract's")]
pub(super) unsafe extern "C" fn TykStoreData(key: *const c_char, value: *const c_char, ttl: c_int) {
    // SAFETY: as above.
    let (key, value) = unsafe { (text(key), text(value)) };
    if let Some(attendant) = &*ATTENDANT.load() {
        attendant.keep_now(&key.to_string_lossy(), value.to_bytes().to_vec(), ttl.into());
    }
}

/// A text that was kept, up to its first zero byte, in memory that the caller frees; an empty one where there
/// is none. Null where there is no memory.
///
/// # Safety
/// The key is null, or has its end.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the names are the contract's")]
pub(super) unsafe extern "C" fn TykGetData(key: *const c_char) -> *mut c_char {
    // SAFETY: as above.
    let key = unsafe { text(key) }.to_string_lossy();
    let data = ATTENDANT.load().as_ref().map(|attendant| attendant.data_now(&key));
    let mut data = data.unwrap_or_default();
    data.push(0);
    // SAFETY: the text has its end, and strdup takes the memory of malloc.
    unsafe { libc::strdup(data.as_ptr().cast()) }
}

/// Fires an event of the gateway.
///
/// # Safety
/// Texts are null, or have their end.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the names are the contract's")]
pub(super) unsafe extern "C" fn TykTriggerEvent(event_name: *const c_char, payload: *const c_char) {
    // SAFETY: as above.
    let (name, payload) = unsafe { (text(event_name), text(payload)) };
    if let Some(attendant) = &*ATTENDANT.load() {
        attendant.voice.pass_on(&name.to_string_lossy(), &payload.to_string_lossy());
    }
}

/// Writes a line to the log.
///
/// # Safety
/// Texts are null, or have their end.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the names are the contract's")]
pub(super) unsafe extern "C" fn CoProcessLog(msg: *const c_char, level: *const c_char) {
    // SAFETY: as above.
    let (line, level) = unsafe { (text(msg), text(level)) };
    say!("native", &*level.to_string_lossy(), line.to_string_lossy());
}
