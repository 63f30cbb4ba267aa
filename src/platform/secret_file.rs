//! Secret files that other users may read because of how containers mount them.

pub(crate) use platform::{can_be_made_private, is_mounted_for_us};

#[cfg(unix)]
mod platform {
    use std::fs::{File, Metadata};
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use rustix::fs::{StatVfsMountFlags, fstatvfs, statvfs};
    use rustix::process::geteuid;

    /// Whether a container runtime or root provided this file, so that its mode was their decision.
    ///
    /// Docker mounts secrets read-only with mode 0444, Kubernetes with 0644, and nobody can change that in
    /// the container. Podman provides a file of root's in memory.
    pub(crate) fn is_mounted_for_us(file: &File, metadata: &Metadata) -> bool {
        let is_read_only =
            fstatvfs(file).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY));
        let only_superuser_writes = metadata.uid() == 0 && metadata.mode() & 0o022 == 0;
        let is_from_superuser = only_superuser_writes && !geteuid().is_root();
        metadata.is_file() && (is_read_only || is_from_superuser && is_in_memory(file))
    }

    #[cfg(target_os = "linux")]
    fn is_in_memory(file: &File) -> bool {
        // From linux/magic.h. rustix has no constants for them.
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

    /// Whether `chmod` would help.
    pub(crate) fn can_be_made_private(path: &Path) -> bool {
        let owner = std::fs::metadata(path).map(|metadata| metadata.uid());
        let is_own = owner.is_ok_and(|owner| owner == geteuid().as_raw());
        let is_writable =
            statvfs(path).is_ok_and(|mount| !mount.f_flag.contains(StatVfsMountFlags::RDONLY));
        is_own && is_writable
    }
}

#[cfg(windows)]
mod platform {
    use std::fs::{File, Metadata};
    use std::path::Path;

    /// Only the access control list counts.
    pub(crate) fn is_mounted_for_us(_: &File, _: &Metadata) -> bool {
        false
    }

    pub(crate) fn can_be_made_private(_: &Path) -> bool {
        false
    }
}
