//! Tests that mostly wait: all of a block begin when the first of them is asked for, so that they wait
//! side by side however few threads the harness has.

/// A block of such tests, each written as any other. A filter chooses which results are asked for.
#[macro_export]
macro_rules! together {
    ($($(#[$meta:meta])* fn $name:ident() $body:block)+) => {
        static BEGUN: std::sync::LazyLock<
            std::sync::Mutex<std::collections::HashMap<&str, std::thread::JoinHandle<()>>>,
        > = std::sync::LazyLock::new(|| {
            let begin = |name: &'static str, body: fn()| {
                let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
                (name, thread.unwrap())
            };
            let all = [$(begin(stringify!($name), || $body)),+];
            std::sync::Mutex::new(all.into())
        });

        $(
            $(#[$meta])*
            #[test]
            fn $name() {
                let thread = BEGUN.lock().unwrap().remove(stringify!($name)).unwrap();
                if let Err(panic) = thread.join() {
                    std::panic::resume_unwind(panic);
                }
            }
        )+
    };
}
