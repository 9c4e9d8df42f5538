/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who signals and who sleeps on a channel: both rings of protocol/vgpu_channel.h, as
 * common/spsc.c does it, on a machine that delays stores (TSO, as x86 has it).
 *
 * One guest and one host. The guest puts requests on the request ring and sleeps for
 * responses; the host sleeps for requests and puts a response on the response ring for
 * each. Both may poll instead of sleeping, at any time. Indices and slots' numbers wrap at
 * MODULUS instead of 2^32; a slot's place is its index modulo the entries.
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
 *  - no index that spsc.c takes for a broken ring, no slot written before it was given back,
 *    none taken twice or left out (the assertions);
 *  - with COUNT_SIGNALS: never more signals than wishes for one, so a side that polls costs
 *    its peer no system call.
 * The model ends after TOTAL requests where that is defined, and runs for ever otherwise.
 *
 * "C:" quotes the statement that a line stands for; check-model.sh looks that it is there.
 *
 * To see that the model can fail, check-model.sh breaks it with one of
 *   NO_FENCE_PRODUCE_REQ  NO_FENCE_PRODUCE_RSP  NO_FENCE_SLEEP_REQ  NO_FENCE_SLEEP_RSP
 *   EVENT_TAKES_NEXT  ASKS_FOR_OLD  NO_LAST_LOOK  HOST_ANSWERS_TWICE  NUMBER_IS_LAP
 */

#ifndef REQ_ENTRIES
#define REQ_ENTRIES 2
#endif
#ifndef RSP_ENTRIES
#define RSP_ENTRIES 3 /* one more, so that the request ring gets full */
#endif
#ifndef MODULUS
#define MODULUS 6 /* a multiple of both rings' entries, and more than either */
#endif
#define BUFFER 3 /* stores that one side's buffer holds */

#define SUB(a, b) (((a) + MODULUS - (b)) % MODULUS) /* uint32_t arithmetic of the C code */
#define NEXT(a) SUB((a) + 1, 0)

/* Words of the index page, and behind them the numbers of the slots. */
#define REQ_CONS 0
#define RSP_CONS 1
#define REQ_EVENT 2
#define RSP_EVENT 3
#define REQ_SLOTS 4
#define RSP_SLOTS (REQ_SLOTS + REQ_ENTRIES)
byte mem[RSP_SLOTS + RSP_ENTRIES];

#define REQ_AT(index) (REQ_SLOTS + (index) % REQ_ENTRIES)
#define RSP_AT(index) (RSP_SLOTS + (index) % RSP_ENTRIES)

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

#ifdef NO_FENCE_PRODUCE_REQ
#define FENCE_PRODUCE_REQ 0
#else
#define FENCE_PRODUCE_REQ 1
#endif
#ifdef NO_FENCE_PRODUCE_RSP
#define FENCE_PRODUCE_RSP 0
#else
#define FENCE_PRODUCE_RSP 1
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

#ifdef EVENT_TAKES_NEXT
#define WANTED(event, prod) ((event) == NEXT(prod))
#else
#define WANTED(event, prod) ((event) == (prod))
#endif

#ifdef ASKS_FOR_OLD
#define WISH(cons) (cons)
#else
#define WISH(cons) NEXT(cons)
#endif

#ifdef NUMBER_IS_LAP /* what a place shows after a lap is what it showed before */
#define NUMBER(index, entries) 1
#else
#define NUMBER(index, entries) NEXT(index)
#endif

/*
 * What is left of spsc_produce() where @prod counts the slot already and its place is in @at,
 * then signal if it says so.
 */
inline produce(buf, at, word_event, prod, entries, fence, eventfd, asked)
{
	buf!at, NUMBER(SUB(prod, 1), entries); /* C: shm_store_release64(to, (uint64_t)beside << 32 | seq); */
	full_fence(buf, fence);          /* C: shm_full_fence(); */
	event = mem[word_event];         /* C: return shm_load(p->at.event) == p->prod; */
	if
	:: WANTED(event, prod) ->
		atomic { len(buf) == 0 -> eventfd = 1; SIGNALLED(asked) }
	:: else
	fi;
	event = 0                        /* dead from here on: fewer states */
}

/* C: return (uint32_t)shm_load_acquire64(slot_at(&c->at, c->cons)) == c->cons + 1; */
#define has_come(at, cons, entries) (mem[at] == NUMBER(cons, entries))

/*
 * Where there is nothing to take: poll, or spsc_sleep() and read the eventfd. Comes back
 * for another look, after a signal that was meant for earlier slots too.
 */
inline wait_for_slot(buf, at, word_event, cons, entries, fence, eventfd, asked)
{
	if
	:: skip ->
		has_come(at, cons, entries) || finished /* C: return has_come(c); */
#ifndef NOBODY_SLEEPS
	:: skip ->
		/* C: shm_store(c->at.event, c->cons + 1); */
		atomic { buf!word_event, WISH(cons); ASKED(asked) }
		full_fence(buf, fence);  /* C: shm_full_fence(); */
		if
#ifdef NO_LAST_LOOK
		:: false
#else
		:: has_come(at, cons, entries) /* C: return !has_come(c); */
#endif
		:: else ->
			atomic { finished || (eventfd == 1 && len(buf) == 0) -> eventfd = 0 }
		fi
#endif
	fi
}

/*
 * spsc_consume() of one slot. @got tells whether there was one. @made: what the other side has
 * produced, which only the assertion knows.
 */
inline consume(buf, at, word_cons, cons, entries, made, got)
{
	if
	:: has_come(at, cons, entries) -> atomic { /* C: if (!has_come(c)) */
		assert(cons != made);
		cons = NEXT(cons);       /* C: c->cons++; */
		buf!word_cons, cons;     /* C: shm_store_release(c->at.cons, c->cons); */
		got = 1
	}
	:: else -> got = 0
	fi
}

/* How far each side has produced. Its own; of the other one only assertions look. */
byte req_prod, rsp_prod;

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
	byte cons; /* struct spsc_consumer of the response ring */
	byte in_flight;
	byte event;
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
		SUB(req_prod, mem[REQ_CONS]) < REQ_ENTRIES -> /* C: p->cons = shm_load_acquire(p->at.cons); */
		req_prod = NEXT(req_prod); /* C: p->prod++; */
		in_flight++;
#ifdef TOTAL
		made++
#endif
	   };
	   /* C: if (used > p->at.entries) { */
	   assert(SUB(req_prod, mem[REQ_CONS]) <= REQ_ENTRIES);
	   produce(guest_buf, REQ_AT(SUB(req_prod, 1)), REQ_EVENT, req_prod, REQ_ENTRIES,
		   FENCE_PRODUCE_REQ, to_host, host_asked)
	:: in_flight > 0 ->
		consume(guest_buf, RSP_AT(cons), RSP_CONS, cons, RSP_ENTRIES, rsp_prod, got);
		if
		:: got -> 
progress:		atomic { in_flight--; got = 0 }
		:: else ->
			wait_for_slot(guest_buf, RSP_AT(cons), RSP_EVENT, cons, RSP_ENTRIES,
				      FENCE_SLEEP_RSP, to_guest, guest_asked)
		fi
#ifdef TOTAL
	:: made == TOTAL && in_flight == 0 -> finished = 1; break
#endif
	od
}

inline answer()
{
	atomic {
		assert(SUB(rsp_prod, mem[RSP_CONS]) < RSP_ENTRIES);
		rsp_prod = NEXT(rsp_prod);
		due--
	};
	produce(host_buf, RSP_AT(SUB(rsp_prod, 1)), RSP_EVENT, rsp_prod, RSP_ENTRIES,
		FENCE_PRODUCE_RSP, to_guest, guest_asked)
}

active proctype host()
{
	byte cons; /* struct spsc_consumer of the request ring */
	byte due;  /* requests taken and not yet answered */
	byte event;
	bit got;

	do
	:: finished -> break
	:: consume(host_buf, REQ_AT(cons), REQ_CONS, cons, REQ_ENTRIES, req_prod, got);
		if
		:: got -> atomic {
			due++;
#ifdef HOST_ANSWERS_TWICE
			due++;
#endif
			got = 0
		   }
		   /* answer now, or after others have been taken */
		   if
		   :: answer()
		   :: skip
		   fi
		:: else ->
			if
			:: due > 0 -> answer()
			:: else ->
				wait_for_slot(host_buf, REQ_AT(cons), REQ_EVENT, cons,
					      REQ_ENTRIES, FENCE_SLEEP_REQ, to_host, host_asked)
			fi
		fi
	od
}
