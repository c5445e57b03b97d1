//! quoting (being written).
