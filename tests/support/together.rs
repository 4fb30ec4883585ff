//! Tests that mostly wait: all of a block begin when the first of them is asked for, so that they wait
//! side by side however few threads the harness has.

/// A block of such tests, each written as any other. A filter chooses which results are asked for; all
/// of the block have ended before the first is given, so that none leaves a server behind when the
/// harness exits.
#[macro_export]
macro_rules! together {
    ($($(#[$meta:meta])* fn $name:ident() $body:block)+) => {
        static ENDED: std::sync::LazyLock<
            std::sync::Mutex<std::collections::HashMap<&str, std::thread::Result<()>>>,
        > = std::sync::LazyLock::new(|| {
            let begin = |name: &'static str, body: fn()| {
                let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
                (name, thread.unwrap())
            };
            let all = [$(begin(stringify!($name), || $body)),+];
            let ended = all.map(|(name, thread)| (name, thread.join()));
            std::sync::Mutex::new(ended.into())
        });

        $(
            $(#[$meta])*
            #[test]
            fn $name() {
                let ended = ENDED.lock().unwrap().remove(stringify!($name)).unwrap();
                if let Err(panic) = ended {
                    std::panic::resume_unwind(panic);
                }
            }
        )+
    };
}
