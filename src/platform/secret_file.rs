//! Whether a file with a secret is protected: by its owner and mode, or by where it is.

pub(crate) use platform::{can_be_made_private, is_protected_by_its_place};

#[cfg(unix)]
mod platform {
    use std::fs::{File, Metadata};
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use rustix::fs::{StatVfsMountFlags, fstatvfs, statvfs};
    use rustix::process::geteuid;

    /// Whether others may read the file and that was the decision of whoever put it there.
    ///
    /// Docker mounts a secret read-only with mode 0444, and Kubernetes with 0644: in the container,
    /// nobody can change the file or its mode. The superuser may also put one into memory for us
    /// (Podman).
    pub(crate) fn is_protected_by_its_place(file: &File, metadata: &Metadata) -> bool {
        let is_read_only =
            fstatvfs(file).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY));
        let only_superuser_writes = metadata.uid() == 0 && metadata.mode() & 0o022 == 0;
        let is_from_superuser = only_superuser_writes && !geteuid().is_root();
        metadata.is_file() && (is_read_only || is_from_superuser && is_in_memory(file))
    }

    #[cfg(target_os = "linux")]
    fn is_in_memory(file: &File) -> bool {
        // linux/magic.h: ramfs. The other one is tmpfs, which rustix names for us on no platform.
        const RAMFS: u32 = 0x8584_58f6;
        const TMPFS: u32 = 0x0102_1994;
        rustix::fs::fstatfs(file).is_ok_and(|filesystem| {
            let kind = u32::try_from(filesystem.f_type & 0xffff_ffff).unwrap_or(0);
            kind == RAMFS || kind == TMPFS
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn is_in_memory(_: &File) -> bool {
        false
    }

    /// Whether `chmod` can be of any help.
    pub(crate) fn can_be_made_private(path: &Path) -> bool {
        let owner = std::fs::metadata(path).map(|metadata| metadata.uid());
        let is_ours = owner.is_ok_and(|owner| owner == geteuid().as_raw());
        let is_writable =
            statvfs(path).is_ok_and(|mount| !mount.f_flag.contains(StatVfsMountFlags::RDONLY));
        is_ours && is_writable
    }
}

#[cfg(windows)]
mod platform {
    use std::fs::{File, Metadata};
    use std::path::Path;

    /// Its access control list alone protects it.
    pub(crate) fn is_protected_by_its_place(_: &File, _: &Metadata) -> bool {
        false
    }

    pub(crate) fn can_be_made_private(_: &Path) -> bool {
        false
    }
}
