//! Symbols of drivers that are built here: from offsets in their files to functions, files and lines.

mod built;
mod damage;
mod elf;
mod pe;
