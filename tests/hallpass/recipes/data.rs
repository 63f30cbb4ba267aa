//! Data, mail and services.
