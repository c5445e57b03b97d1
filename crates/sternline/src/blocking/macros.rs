//! Methods that are those of the asynchronous type, word for word.

/// Methods that wait for nothing.
macro_rules! same {
    ($of:ident: $(fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $result:ty;)*) => {
        $(
            #[doc = concat!("See [`", stringify!($of), "::", stringify!($name), "`](crate::", stringify!($of), "::", stringify!($name), ").")]
            #[must_use]
            pub fn $name(&self $(, $arg: $type)*) -> $result {
                self.inner().$name($($arg),*)
            }
        )*
    };
}

/// Methods that wait for the asynchronous ones.
macro_rules! waiting {
    ($of:ident: $(fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $result:ty;)*) => {
        $(
            #[doc = concat!("See [`", stringify!($of), "::", stringify!($name), "`](crate::", stringify!($of), "::", stringify!($name), ").")]
            ///
            /// # Errors
            /// As there.
            pub fn $name(&self $(, $arg: $type)*) -> $result {
                self.wait(self.inner().$name($($arg),*))
            }
        )*
    };
}
