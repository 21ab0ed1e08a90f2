//! What every engine of the store contract must do. (filled in below)
