//! A shared object of hooks: its functions, and whose memory is whose. `include/coproc.h` is the same for C.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::exports;

/// Bytes that pass between gateway and hooks.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Message {
    p_data: *mut c_void,
    length: c_int,
}

type Init = unsafe extern "C" fn() -> c_int;
type Dispatch = unsafe extern "C" fn(Message) -> Message;
type DispatchEvent = unsafe extern "C" fn(*mut c_char);
type Reload = unsafe extern "C" fn();

/// Why there are no hooks of a shared object.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path is none that the system takes.
    #[error("native: `{0}` is no path")]
    Path(String),
    /// It cannot be loaded.
    #[error("native: {0}")]
    Load(String),
    /// It lacks a function that has to be there.
    #[error("native: `{library}` has no function `{function}`")]
    Lacks {
        /// The shared object.
        library: String,
        /// The function.
        function: &'static str,
    },
    /// It says that it is not ready.
    #[error("native: `CoProcessInit` of `{library}` returned {status}")]
    Init {
        /// The shared object.
        library: String,
        /// What it returned.
        status: i32,
    },
}

/// What a hook returned is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadReply {
    #[error("it returned nothing")]
    Nothing,
    #[error("the length of what it returned is below zero")]
    Length,
    #[error("what it returned goes beyond what it was given")]
    Beyond,
    #[error("the object is too large for it")]
    TooLarge,
}

/// A shared object. It stays loaded: whether its threads have ended, nobody knows.
#[derive(Debug)]
pub(super) struct Library {
    name: String,
    init: Init,
    dispatch: Dispatch,
    dispatch_event: Option<DispatchEvent>,
    reload: Option<Reload>,
}

impl Library {
    /// Loads it; its initialisers run, nothing else of it.
    pub(super) fn load(path: &Path) -> Result<Self, OpenError> {
        // They have to be in this program for the shared object to find them.
        std::hint::black_box(exports::ALL);
        let name = path.display().to_string();
        let text = CString::new(path.as_os_str().as_bytes());
        let text = text.map_err(|_| OpenError::Path(name.clone()))?;
        // Interpreters that hooks bring along load modules which look for them among all symbols.
        // SAFETY: the path is a text with its end. What a shared object does when it is loaded is its own.
        let handle = unsafe { libc::dlopen(text.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        if handle.is_null() {
            return Err(OpenError::Load(last_error()));
        }
        let function = |function: &'static CStr| {
            // SAFETY: the handle is one of dlopen's, which is never closed.
            let address = unsafe { libc::dlsym(handle, function.as_ptr()) };
            (!address.is_null()).then_some(address)
        };
        let lacks = |function: &'static str| OpenError::Lacks { library: name.clone(), function };
        let init = function(c"CoProcessInit").ok_or_else(|| lacks("CoProcessInit"))?;
        let dispatch = function(c"CoProcessDispatch").ok_or_else(|| lacks("CoProcessDispatch"))?;
        // SAFETY: functions of these names have these types; the header says so to those who write them.
        unsafe {
            Ok(Self {
                init: std::mem::transmute::<*mut c_void, Init>(init),
                dispatch: std::mem::transmute::<*mut c_void, Dispatch>(dispatch),
                dispatch_event: function(c"CoProcessDispatchEvent")
                    .map(|address| std::mem::transmute::<*mut c_void, DispatchEvent>(address)),
                reload: function(c"CoProcessReload")
                    .map(|address| std::mem::transmute::<*mut c_void, Reload>(address)),
                name,
            })
        }
    }

    /// Has it make itself ready.
    pub(super) fn init(&self) -> Result<(), OpenError> {
        // SAFETY: it takes nothing.
        match unsafe { (self.init)() } {
            0 => Ok(()),
            status => Err(OpenError::Init { library: self.name.clone(), status }),
        }
    }

    /// Calls a hook with an object, and hands what it returned to `read`.
    pub(super) fn dispatch<T>(
        &self,
        object: &mut [u8],
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, BadReply> {
        let length = c_int::try_from(object.len()).map_err(|_| BadReply::TooLarge)?;
        let sent = Message { p_data: object.as_mut_ptr().cast(), length };
        // SAFETY: the bytes are there until it returns, and it may write to them.
        let returned = unsafe { (self.dispatch)(sent) };
        let address = returned.p_data as usize;
        if address == 0 {
            return Err(BadReply::Nothing);
        }
        let own = object.as_ptr_range();
        let (begin, end) = (own.start as usize, own.end as usize);
        if (begin..=end).contains(&address) {
            // A part of what it was given, be it an empty one at its end, which is not its own to be freed.
            let length = usize::try_from(returned.length).map_err(|_| BadReply::Length)?;
            let from = address - begin;
            let part = object.get(from..from.saturating_add(length)).ok_or(BadReply::Beyond)?;
            return Ok(read(part));
        }
        let bytes = Given(returned.p_data);
        let length = usize::try_from(returned.length).map_err(|_| BadReply::Length)?;
        // SAFETY: the hook says that so many bytes are there; they are ours until they are freed.
        let reply = unsafe { std::slice::from_raw_parts(bytes.0.cast::<u8>(), length) };
        Ok(read(reply))
    }

    /// Calls the handler of events with a text of JSON; `false` if there is none.
    pub(super) fn dispatch_event(&self, payload: &str) -> bool {
        let Some(dispatch) = self.dispatch_event else { return false };
        let text = CString::new(payload).unwrap_or_default();
        let text = text.into_raw();
        // SAFETY: the text has its end and may be written to until the call returns; it is taken back as
        // the one that was given.
        unsafe {
            dispatch(text);
            drop(CString::from_raw(text));
        }
        true
    }

    /// Tells it to make its hooks anew.
    pub(super) fn reload(&self) {
        if let Some(reload) = self.reload {
            // SAFETY: it takes nothing.
            unsafe { reload() };
        }
    }
}

/// Memory that a hook took from malloc for us.
struct Given(*mut c_void);

impl Drop for Given {
    fn drop(&mut self) {
        // SAFETY: the header says that it is malloc's, and nobody else's any more.
        unsafe { libc::free(self.0) };
    }
}

/// What the loader says of its last failure.
fn last_error() -> String {
    // SAFETY: the text is the loader's, good until this thread calls it again.
    let error = unsafe { libc::dlerror() };
    if error.is_null() {
        return "it cannot be loaded".to_owned();
    }
    // SAFETY: as above, and it has its end.
    unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned()
}
