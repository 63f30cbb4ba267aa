//! The scripts that run at the server. Each is one command, and one step for all other machines.
//!
//! The commands in them are the ones that `hallpass setup share` permits.

/// Keys: the entry, the refusal, the lease. Returns the values of all three, how long the first two last, and
/// the server's time.
pub(super) const READ: &str = "local t=redis.call('time') \
return {redis.call('get',KEYS[1]),redis.call('pttl',KEYS[1]),\
redis.call('get',KEYS[2]),redis.call('pttl',KEYS[2]),redis.call('get',KEYS[3]),t[1],t[2]}";

/// Keys: the entry, the lease. Arguments: the entry and the lease that are expected, or an empty text; the new
/// lease; its milliseconds. Returns 1 if the lease was taken.
pub(super) const TAKE: &str = "if (redis.call('get',KEYS[1]) or '')==ARGV[1] \
and (redis.call('get',KEYS[2]) or '')==ARGV[2] then \
redis.call('set',KEYS[2],ARGV[3],'PX',ARGV[4]) return 1 end return 0";

/// Keys: the lease. Arguments: the lease that is expected, the new one, its milliseconds. Returns 1 if it was
/// renewed.
pub(super) const RENEW: &str = "if redis.call('get',KEYS[1])==ARGV[1] then \
redis.call('set',KEYS[1],ARGV[2],'PX',ARGV[3]) return 1 end return 0";

/// Keys: what to write, what to remove, the lease. Arguments: the value, its milliseconds, the lease.
pub(super) const STORE: &str = "redis.call('set',KEYS[1],ARGV[1],'PX',ARGV[2]) \
redis.call('del',KEYS[2]) \
if redis.call('get',KEYS[3])==ARGV[3] then redis.call('del',KEYS[3]) end return 1";

/// Keys: what to write, the lease. Arguments: as for [`STORE`].
pub(super) const REFUSE: &str = "redis.call('set',KEYS[1],ARGV[1],'PX',ARGV[2]) \
if redis.call('get',KEYS[2])==ARGV[3] then redis.call('del',KEYS[2]) end return 1";

/// Keys: one. Arguments: its value. Removes it, unless it has another value.
pub(super) const DROP: &str = "if redis.call('get',KEYS[1])==ARGV[1] then \
return redis.call('del',KEYS[1]) end return 0";
