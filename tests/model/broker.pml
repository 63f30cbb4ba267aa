/* The design of `hallpass token` for many callers, as a model that spin searches in full: see `run`.
 *
 * Callers ask for a token of the same request. Meanwhile there is a login, a logout or a sweep. A caller can
 * be killed before each of its steps.
 *
 * The steps have the names of the functions: src/broker.rs, src/cache/lock.rs, src/cache/sweep.rs,
 * src/platform/disk/lock_file.rs, src/commands/obtain.rs, src/commands/transaction.rs,
 * src/commands/logout/one.rs, src/profiles/editor.rs. A step is what the operating system does at once: a
 * read or rename of a file, a lock, a removal.
 *
 * A login is a number: 1 is the one at the beginning, 2 replaces it. Entries, lock files and items of the
 * keychain have it in their names (the request's key, the item's account), so they are arrays here.
 *
 * Each macro that `run` defines makes the design worse, to show that the search finds the fault.
 */

#ifndef CALLERS
#define CALLERS 3
#endif
#ifndef BINDS
#define BINDS 0
#endif
#ifndef KILLS
#define KILLS 1
#endif
#define ATTEMPTS 3		/* obtain.rs */
#define LOGINS 3		/* 0: none */
#define FILES 8			/* lock files in all */

/* The profile's file: its login (0: there is no file), and whether the URL was bound. */
byte profile = 1;
bool bound = false;
bool items[LOGINS];		/* in the keychain */
byte tokens[LOGINS];		/* in the cache: whose secret brought it (0: none) */
bool failures[LOGINS];		/* in the cache; they still apply */
byte paths[LOGINS];		/* the lock file at the path (0: none) */
byte holders[FILES];		/* of each lock file, 1 + the caller (0: free) */
byte files = 0;			/* lock files that were created */

bool editing = false;		/* profiles/lock is held */
byte requests[LOGINS];
byte kills = 0;
byte begun = 0;			/* callers */
byte unread = 0;			/* callers that found no secret */
bool refuses;			/* whether the server refuses the secrets */
bool bound_by_bind = false;	/* `bind` has reported success */
byte ended = 0;

inline release(file) {
	atomic {
		if
		:: file != 0 && holders[file] == _pid + 1 -> holders[file] = 0
		:: else
		fi;
		file = 0
	}
}
inline open_lock(login, file) {
	atomic {
		if
		:: paths[login] == 0 ->
			files++;
			assert(files < FILES);
			paths[login] = files
		:: else
		fi;
		file = paths[login]
	}
}

/* What the operating system does at once, with what the caller decides by it. Before it, a caller that holds
 * a lock can be killed: then the kernel releases it. One that holds none leaves nothing, so it is the same
 * as one that is never heard of again. */
#define STEP	if :: kills < KILLS -> kills++; goto killed :: true fi

proctype caller(byte number) {
	byte selected, file = 0, attempt = 0, token;

selection:	/* Profiles::find, or SelectedProfile::update after LoginChanged */
	atomic {
		number <= begun;	/* all are alike, so their numbers can tell the order */
		begun = (begun > number -> begun : number + 1);
		attempt++;
		selected = profile;
		if
		:: attempt > ATTEMPTS || selected == 0 -> goto done	/* NotFound */
		:: else
		fi
	}

	/* Broker::obtain */
	atomic {
		token = tokens[selected];		/* CacheEntry::token */
		if
		:: token != 0 -> goto handed_out
		:: else
		fi
	}
	atomic {
		if
		:: failures[selected] -> goto done	/* Snapshot::failure: it still applies */
		:: else
		fi
	}

	/* CacheEntry::lock */
	open_lock(selected, file);
wait:
	do
	:: atomic {
		holders[file] == 0 ->
		holders[file] = _pid + 1;		/* LockFile::try_exclusive */
		break
	}
	:: atomic {
		holders[file] != 0 && (tokens[selected] != 0 || failures[selected]) ->
		goto change
	}
	:: atomic {
		holders[file] != 0 && file != paths[selected] ->
		open_lock(selected, file)
	}
	od;
#ifndef LOCKS_REMOVED_FILES
	atomic {
		STEP;
		if
		:: file != paths[selected] ->		/* is_removed */
			release(file);
			open_lock(selected, file);
			goto wait
		:: else
		fi
	}
#endif
change:	/* change_since */
	atomic { STEP; token = tokens[selected] };
	atomic {
		STEP;
		if
		:: token == 0 && failures[selected] -> goto failed
		:: else
		fi
	}

	/* Broker::proceed */
#ifndef NEVER_CHECKS_LOGIN
	atomic {
		STEP;
		if
		:: profile != selected -> goto login_changed	/* TokenSource::is_current */
		:: else
		fi
	}
#endif
	if
	:: token != 0 -> goto handed_out
	:: else
	fi;

	/* Broker::request */
	atomic {
		STEP;
		if
		:: !items[selected] -> unread++; goto failed	/* TokenSource::client */
		:: else -> requests[selected]++		/* TokenSource::request */
		fi
	}
#ifdef RELEASES_EARLY
	release(file);
#endif
	atomic {
		STEP;
		if
		:: refuses ->
#ifndef SHARES_NO_FAILURE
			failures[selected] = true;	/* EntryLock::store_failure */
#endif
			goto failed
		:: else ->
			tokens[selected] = selected;	/* EntryLock::store */
			token = selected
		fi
	}
	release(file);
#ifndef NEVER_CHECKS_LOGIN
	atomic {
		STEP;
		if
		:: profile != selected -> goto login_changed	/* TokenSource::is_current, once more */
		:: else
		fi
	}
#endif
	goto handed_out;

failed:
	release(file);
	atomic {
		STEP;
		if
		:: profile == selected -> goto done
		:: else
		fi
	}

login_changed:	/* Outcome::LoginChanged: CacheEntry::remove */
	atomic { STEP; tokens[selected] = 0 };
	atomic { STEP; failures[selected] = false };
	atomic { STEP; paths[selected] = 0 };
	release(file);
	goto selection;

handed_out:
	atomic {
		assert(token == selected);		/* no token of another login */
		release(file);
		goto done
	}

killed:
	atomic { release(file) };
done:
	atomic { selected = 0; file = 0; attempt = 0; token = 0; ended++ }
}

/* `hallpass login`, the second time: src/commands/transaction.rs, and login/replace.rs. */
proctype login() {
	bool was_bound;
	byte before;
	atomic { !editing -> editing = true };	/* Profiles::edit */
	before = profile;
	was_bound = bound;
	items[2] = true;			/* secrets::write, an item of its own */
	atomic { profile = 2; bound = was_bound };	/* Editor::save: one rename */
	items[before] = false;			/* clean_up */
	tokens[before] = 0;			/* Cache::clear */
	failures[before] = false;
	paths[before] = 0;
	editing = false;
	ended++
}

/* `hallpass logout`: src/commands/logout/one.rs. */
proctype logout() {
	atomic { !editing -> editing = true };
#ifdef CLEARS_FIRST
	tokens[1] = 0; failures[1] = false; paths[1] = 0;
	profile = 0;
#else
	atomic { profile = 0; bound = false };	/* Editor::remove */
	tokens[1] = 0;				/* Cache::clear */
	failures[1] = false;
	paths[1] = 0;
#endif
	items[1] = false;			/* secrets::delete */
	editing = false;
	ended++
}

/* A caller of another request of this profile, which removes stale files: src/cache/sweep.rs. */
proctype sweep() {
	byte file = 0;
	atomic {
		if
		:: tokens[1] != 0 || failures[1] -> goto done	/* is_stale */
		:: else
		fi
	}
	open_lock(1, file);
	atomic {
		if
		:: holders[file] == 0 -> holders[file] = _pid + 1	/* LockFile::try_exclusive */
		:: else -> goto done
		fi
	}
	atomic {
		if
		:: file != paths[1] -> goto done			/* is_removed */
		:: else
		fi
	}
	atomic {
		if
		:: tokens[1] != 0 || failures[1] -> goto done	/* is_stale, once more */
		:: else
		fi
	}
	paths[1] = 0;						/* LockFile::remove */
done:
	release(file);
	ended++
}

/* `hallpass bind`: reads the profile, and writes it with one more URL. */
proctype bind() {
	byte read;
#ifndef BINDS_WITHOUT_LOCK
	atomic { !editing -> editing = true };
#endif
	read = profile;
	if
	:: read == 0 -> skip			/* NotFound */
	:: else ->
		atomic { profile = read; bound = true };
		bound_by_bind = true
	fi;
#ifndef BINDS_WITHOUT_LOCK
	editing = false;
#endif
	ended++
}

#define ALL (CALLERS + 1 + BINDS)

init {
	byte n = 0;
	bool is_login = false;
	bool is_logout = false;
	atomic {
		if :: refuses = true :: true fi;
		items[1] = true;
		do
		:: n < CALLERS -> run caller(n); n++
		:: else -> break
		od;
#if BINDS
		run bind();
#endif
		if
		:: run login(); is_login = true
		:: run logout(); is_logout = true
		:: run sweep()
		fi
	}
	ended == ALL;

	/* One request, and one more for each caller that was killed or could not read the secret. */
	assert(requests[1] <= 1 + kills + unread);
	assert(requests[2] <= 1 + kills + unread);
	/* Each caller that was killed is one for whom nobody cleans up; what it leaves, nobody is given. */
	assert(kills > 0 || profile == 1 || tokens[1] == 0);
	assert(!is_logout || profile == 0);
	assert(!is_login || profile == 2);
	assert(!(bound_by_bind && !is_logout) || bound)
}
