/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who signals and who sleeps on a channel: both rings of protocol/vgpu_channel.h, as
 * common/spsc.c does it, on a machine that delays stores (TSO, as x86 has it).
 *
 * One guest and one host. The guest puts requests on the request ring and sleeps for
 * responses; the host sleeps for requests and puts a response on the response ring for
 * each. Both may poll instead of sleeping, at any time, and may publish several slots at
 * once. Indices wrap at MODULUS instead of 2^32.
 *
 * Memory. A store enters its side's FIFO buffer; `memory` moves it to `mem` at some later
 * time; a full fence waits until the own buffer is empty. A load reads `mem`: looking into
 * the own buffer first is not needed, because neither side ever loads a word that it
 * stores. A locked instruction drains the buffer, and reading or writing an eventfd is one.
 *
 * eventfd. A write makes it readable, a read waits for that and takes all of it. Only
 * "zero or not" matters, so the counter is a bit. The interrupt of the `pci` transport
 * behaves alike: a cause stays set until the guest clears it.
 *
 * What is demanded:
 *  - never a deadlock: wherever a side waits, in poll or asleep, something comes. Polling is
 *    written as a wait for the memory word, so that polling in vain is a deadlock as well;
 *  - no cycle in which the guest takes no response (run with -DNP): each request is answered;
 *  - no index that spsc.c takes for a broken ring (the assertions);
 *  - with COUNT_SIGNALS: never more signals than wishes for one, so a side that polls costs
 *    its peer no system call.
 * The model ends after TOTAL requests where that is defined, and runs for ever otherwise.
 *
 * "C:" quotes the statement that a line stands for; check-model.sh looks that it is there.
 *
 * To see that the model can fail, check-model.sh breaks it with one of
 *   NO_FENCE_PUBLISH_REQ  NO_FENCE_PUBLISH_RSP  NO_FENCE_SLEEP_REQ  NO_FENCE_SLEEP_RSP
 *   EVENT_MISSES_LAST  EVENT_TAKES_OLD  ASKS_FOR_OLD  NO_LAST_LOOK  EVENT_NOT_MODULAR
 *   HOST_ANSWERS_TWICE
 */

#ifndef REQ_ENTRIES
#define REQ_ENTRIES 2
#endif
#ifndef RSP_ENTRIES
#define RSP_ENTRIES 3 /* one more, so that the request ring gets full */
#endif
#ifndef MODULUS
#define MODULUS 4
#endif
#define BUFFER 3 /* stores that one side's buffer holds */

#define SUB(a, b) (((a) - (b)) & (MODULUS - 1)) /* uint32_t arithmetic of the C code */

/* Words of the index page. */
#define REQ_PROD 0
#define REQ_CONS 1
#define RSP_PROD 2
#define RSP_CONS 3
#define REQ_EVENT 4
#define RSP_EVENT 5
byte mem[6];

chan guest_buf = [BUFFER] of { byte, byte };
chan host_buf = [BUFFER] of { byte, byte };

bit to_host;  /* eventfd that the guest writes */
bit to_guest; /* eventfd that the host writes */

bit finished; /* the guest has all its answers and ends; only with TOTAL */

byte host_asked, guest_asked; /* wishes for a signal not yet fulfilled */
#ifdef COUNT_SIGNALS
#define ASKED(n) n++
#define SIGNALLED(n) assert(n > 0); n--
#else
#define ASKED(n) skip
#define SIGNALLED(n) skip
#endif

#ifdef NO_FENCE_PUBLISH_REQ
#define FENCE_PUBLISH_REQ 0
#else
#define FENCE_PUBLISH_REQ 1
#endif
#ifdef NO_FENCE_PUBLISH_RSP
#define FENCE_PUBLISH_RSP 0
#else
#define FENCE_PUBLISH_RSP 1
#endif
#ifdef NO_FENCE_SLEEP_REQ
#define FENCE_SLEEP_REQ 0
#else
#define FENCE_SLEEP_REQ 1
#endif
#ifdef NO_FENCE_SLEEP_RSP
#define FENCE_SLEEP_RSP 0
#else
#define FENCE_SLEEP_RSP 1
#endif
#define full_fence(buf, there) (!(there) || len(buf) == 0)

#if defined(EVENT_MISSES_LAST)
#define WANTED(event, old, prod) (SUB(event, old) < SUB(prod, old)) /* [old, prod) */
#elif defined(EVENT_TAKES_OLD)
#define WANTED(event, old, prod) (SUB(prod, event) <= SUB(prod, old)) /* [old, prod] */
#elif defined(EVENT_NOT_MODULAR)
#define WANTED(event, old, prod) (old < event && event <= prod)
#else
#define WANTED(event, old, prod) (SUB(prod, event) < SUB(prod, old)) /* (old, prod] */
#endif

#ifdef ASKS_FOR_OLD
#define NEXT(cons) (cons)
#else
#define NEXT(cons) SUB((cons) + 1, 0)
#endif

/* spsc_publish(), then signal if it says so. */
inline publish(buf, word_prod, word_event, prod, published, fence, eventfd, asked)
{
	atomic {
		old = published;         /* C: uint32_t old = p->published; */
		published = prod;        /* C: p->published = p->prod; */
		buf!word_prod, prod;     /* C: shm_store_release(p->at.prod, p->prod); */
	}
	full_fence(buf, fence);          /* C: shm_full_fence(); */
	event = mem[word_event];         /* C: event = shm_load(p->at.event); */
	if                               /* C: return p->prod - event < p->prod - old; */
	:: WANTED(event, old, prod) ->
		atomic { len(buf) == 0 -> eventfd = 1; SIGNALLED(asked) }
	:: else
	fi;
	d_step { old = 0; event = 0 }    /* dead from here on: fewer states */
}

/*
 * Where there is nothing to take: poll, or spsc_sleep() and read the eventfd. Comes back
 * for another look, after a signal that was meant for earlier slots too.
 */
inline wait_for_slot(buf, word_prod, word_event, cons, fence, eventfd, asked)
{
	if
	:: skip ->
		/* C: return c->dead || c->prod != c->cons || shm_load(c->at.prod) != c->cons; */
		mem[word_prod] != cons || finished
#ifndef NOBODY_SLEEPS
	:: skip ->
		/* C: shm_store(c->at.event, c->cons + 1); */
		atomic { buf!word_event, NEXT(cons); ASKED(asked) }
		full_fence(buf, fence);  /* C: shm_full_fence(); */
		if
#ifdef NO_LAST_LOOK
		:: false
#else
		:: mem[word_prod] != cons /* C: return shm_load(c->at.prod) == c->cons; */
#endif
		:: else ->
			atomic { finished || (eventfd == 1 && len(buf) == 0) -> eventfd = 0 }
		fi
#endif
	fi
}

/*
 * spsc_consume() of one slot. Loads the shared index only when nothing is left of what
 * it saw last. @got tells whether there was a slot.
 */
inline consume(buf, word_prod, word_cons, cons, seen, limit, got)
{
	if
	:: cons != seen                  /* C: if (c->prod == c->cons) { */
	:: else ->
		atomic {
			seen = mem[word_prod]; /* C: uint32_t prod = shm_load_acquire(c->at.prod); */
			/* C: if (prod - c->cons > limit || prod - c->cons > c->at.entries) { */
			assert(SUB(seen, cons) <= limit)
		}
	fi;
	if
	:: cons != seen -> atomic {
		cons = SUB(cons + 1, 0); /* C: c->cons++; */
		buf!word_cons, cons;     /* C: shm_store_release(c->at.cons, c->cons); */
		got = 1
	}
	:: else -> got = 0
	fi
}

/* The machine: stores become visible in the order of each side, at any time. */
active proctype memory()
{
	byte word, value;

end:	do
	:: atomic { guest_buf?word, value -> mem[word] = value; word = 0; value = 0 }
	:: atomic { host_buf?word, value -> mem[word] = value; word = 0; value = 0 }
	od
}

active proctype guest()
{
	byte prod, published; /* struct spsc_producer of the request ring */
	byte cons, seen;      /* struct spsc_consumer of the response ring */
	byte in_flight;
	byte old, event;
	bit got;
#ifdef TOTAL
	byte made;
#endif

	do
	/* One more request: spsc_room() and spsc_produce(). */
	:: atomic {
#ifdef TOTAL
		made < TOTAL &&
#endif
		/* a response must find room, since the host cannot wait for it */
		in_flight < RSP_ENTRIES &&
		SUB(prod, mem[REQ_CONS]) < REQ_ENTRIES -> /* C: p->cons = shm_load_acquire(p->at.cons); */
		/* C: if (used > p->at.entries || used < p->prod - p->published) { */
		assert(SUB(prod, mem[REQ_CONS]) >= SUB(prod, published));
		prod = SUB(prod + 1, 0); /* C: p->prod++; */
		in_flight++;
#ifdef TOTAL
		made++
#endif
	   }
	/* The request may be one of several: publishing can come later. */
	:: prod != published ->
		publish(guest_buf, REQ_PROD, REQ_EVENT, prod, published, FENCE_PUBLISH_REQ,
			to_host, host_asked)
	/* Wait for a response, but never with requests held back. */
	:: prod == published && in_flight > 0 ->
		consume(guest_buf, RSP_PROD, RSP_CONS, cons, seen, in_flight, got);
		if
		:: got -> 
progress:		atomic { in_flight--; got = 0 }
		:: else ->
			wait_for_slot(guest_buf, RSP_PROD, RSP_EVENT, cons, FENCE_SLEEP_RSP,
				      to_guest, guest_asked)
		fi
#ifdef TOTAL
	:: made == TOTAL && in_flight == 0 -> finished = 1; break
#endif
	od
}

active proctype host()
{
	byte prod, published; /* struct spsc_producer of the response ring */
	byte cons, seen;      /* struct spsc_consumer of the request ring */
	byte old, event;
	bit got;

	do
	:: finished -> break
	:: consume(host_buf, REQ_PROD, REQ_CONS, cons, seen, REQ_ENTRIES, got);
		if
		:: got -> atomic {
			assert(SUB(prod, mem[RSP_CONS]) < RSP_ENTRIES);
			prod = SUB(prod + 1, 0);
#ifdef HOST_ANSWERS_TWICE
			prod = SUB(prod + 1, 0);
#endif
			got = 0
		   }
		   /* answer now, or together with later ones */
		   if
		   :: publish(host_buf, RSP_PROD, RSP_EVENT, prod, published,
			      FENCE_PUBLISH_RSP, to_guest, guest_asked)
		   :: skip
		   fi
		:: else ->
			if
			:: prod != published ->
				publish(host_buf, RSP_PROD, RSP_EVENT, prod, published,
					FENCE_PUBLISH_RSP, to_guest, guest_asked)
			:: else ->
				wait_for_slot(host_buf, REQ_PROD, REQ_EVENT, cons,
					      FENCE_SLEEP_REQ, to_host, host_asked)
			fi
		fi
	od
}
