// SPDX-License-Identifier: GPL-2.0-only
// The protocol that a file system must follow with writeback_iter and the folios that it returns. Each entry
// is one rule.

import type { FolioRecord, Ledger, PassRecord } from './ledger.js'
import type { EventNamed, LiveEvent } from './recording.js'

/** A breach, as the rule reports it. */
export interface Breach {
  /** The folio's head index; null if the breach concerns the pass. */
  readonly index: number | null
  readonly pass: PassRecord | null
  /** The event that created the obligation. */
  readonly began: LiveEvent
  /** The event at which the rule broke. */
  readonly broke: LiveEvent
  readonly what: string
}

export interface Rule {
  readonly name: string
  /** What the protocol requires. */
  readonly says: string
  /** What the kernel does if the rule is broken. */
  readonly kernel: string
  /**
   * Whether the rule also applies to traces. A random trace does anything that the kernel allows, and ends
   * anywhere.
   */
  readonly traces: boolean
  /** The breach that an event is, given the ledger before the event. */
  readonly at?: (event: LiveEvent, ledger: Ledger) => Breach | null
  /** The breaches that are left when the recording ends. */
  readonly atEnd?: (ledger: Ledger, end: RecordingEnd) => Iterable<Breach>
}

/** How a recording ended. */
export interface RecordingEnd {
  readonly last: LiveEvent
  /** Whether the recorder waited for writeback in flight. If so, writeback without an end never ended. */
  readonly drained: boolean
}

/** AOP_WRITEPAGE_ACTIVATE: ->writepage may return it, but ->writepages may not hand it back. */
const ACTIVATE = 0x80000

/**
 * Writeback that is younger than this many events may still be in flight, if the recorder did not wait for
 * it.
 */
const IN_FLIGHT = 256

function handedBack(
  event: LiveEvent,
  ledger: Ledger,
  isWrong: (error: number) => boolean,
  what: string,
): Breach | null {
  if (event.name !== 'call' || !event.handsBack || !isWrong(event.error)) return null
  const pass = ledger.passOf(event) ?? null
  const index = pass?.last?.folio?.index ?? null
  return {
    index,
    pass,
    began: pass?.last ?? event,
    broke: event,
    what: `the file system hands back ${event.error}, ${what}`,
  }
}

/** The breach in which a folio under writeback is started again or removed. */
function underWriteback(event: EventNamed<'start' | 'delete'>, ledger: Ledger, what: string): Breach {
  const { pass, started } = ledger.folio(event.index)
  return { index: event.index, pass, began: started ?? event, broke: event, what }
}

function* startsLeft(ledger: Ledger): Generator<[number, FolioRecord, EventNamed<'start'>]> {
  for (const [index, folio] of ledger.folios) {
    if (folio.started !== null && folio.removed === null) yield [index, folio, folio.started]
  }
}

/** A task that sleeps on the folio until the recording ends. */
function waiterOf(ledger: Ledger, name: 'wbwait' | 'lockwait', index: number): LiveEvent | null {
  for (const wait of ledger.waiting.values()) if (wait.name === name && wait.index === index) return wait
  return null
}

function waits(waiter: LiveEvent | null): string {
  return waiter === null ? '' : `; ${waiter.comm} (${waiter.pid}) waits for it since line ${waiter.line}`
}

/**
 * Folios that were removed under writeback, found by the ledger where the removal event itself does not say
 * so.
 */
function* removedWhileWritten(ledger: Ledger): Generator<Breach> {
  for (const [index, { started, removed, pass }] of ledger.folios) {
    if (started === null || removed === null || removed.writeback !== null) continue
    yield { index, pass, began: started, broke: removed, what: 'the folio is removed under writeback' }
  }
}

/** The next pass of a task that left this pass with a folio in hand, and never continued it. */
function begunInstead({ passes }: Ledger, { pid, inHand }: PassRecord): LiveEvent | undefined {
  return passes.find(({ began }) => began.pid === pid && inHand !== null && began.time > inHand.time)?.began
}

export const RULES: readonly Rule[] = [
  {
    name: 'positive-error',
    says: 'The error that is handed back to writeback_iter is 0 or a negative errno.',
    kernel: 'WARN_ON_ONCE(*error > 0) in writeback_iter; the number becomes the result of fsync or msync',
    traces: true,
    at: (event, ledger) =>
      handedBack(event, ledger, (error) => error > 0 && error !== ACTIVATE, 'a positive error'),
  },
  {
    name: 'writepage-activate',
    says: 'AOP_WRITEPAGE_ACTIVATE stays between ->writepage and its caller, which unlocks the folio; it is not handed back.',
    kernel:
      'WARN_ON_ONCE(*error > 0) in writeback_iter; the folio stays locked, and the next task that locks it hangs in folio_lock',
    traces: true,
    at: (event, ledger) => handedBack(event, ledger, (error) => error === ACTIVATE, 'AOP_WRITEPAGE_ACTIVATE'),
  },
  {
    name: 'until-null',
    says: 'The loop continues until writeback_iter returns NULL.',
    kernel:
      'the folios of the batch keep a reference forever: they are never freed, truncated pages leak, and splits fail',
    traces: true,
    *atEnd(ledger, { drained, last }) {
      for (const pass of ledger.passes) {
        const began = pass.inHand
        if (began === null) continue
        const index = began.folio?.index ?? null
        const instead = begunInstead(ledger, pass)
        if (instead !== undefined) {
          yield {
            index,
            pass,
            began,
            broke: instead,
            what: 'the task left the pass with this folio in hand, and began another pass',
          }
        } else if (drained) {
          yield {
            index,
            pass,
            began,
            broke: last,
            what: 'the task left the pass with this folio in hand, and never called writeback_iter again',
          }
        }
      }
    },
  },
  {
    name: 'start-locked',
    says: 'Writeback is started under the lock of the folio: before it is unlocked.',
    kernel:
      'VM_BUG_ON_FOLIO if enabled; else a truncation or another pass may take the folio in between, and frees it or writes it twice',
    traces: true,
    at(event, ledger) {
      if (event.name !== 'start' || event.locked) return null
      const { pass, lastUnlock } = ledger.folio(event.index)
      const began = lastUnlock ?? pass?.returned.get(event.index) ?? event
      return { index: event.index, pass, began, broke: event, what: 'writeback is started without the lock' }
    },
  },
  {
    name: 'start-once',
    says: 'Writeback is not started on a folio that is under writeback.',
    kernel:
      'VM_BUG_ON_FOLIO(folio_test_writeback(folio)); else the first end clears the flag while the second write is in flight',
    traces: true,
    at(event, ledger) {
      if (event.name !== 'start' || !event.writeback) return null
      return underWriteback(event, ledger, 'writeback is started twice')
    },
  },
  {
    name: 'writeback-ends',
    says: 'Writeback that was started ends.',
    kernel: 'the next pass, truncation or fsync hangs in folio_wait_writeback',
    traces: false,
    *atEnd(ledger, { drained, last }) {
      for (const [index, { pass }, began] of startsLeft(ledger)) {
        const waiter = waiterOf(ledger, 'wbwait', index)
        if (!drained && waiter === null && last.time - began.time < IN_FLIGHT) continue
        const what = `writeback was started and never ended${waits(waiter)}`
        yield { index, pass, began, broke: waiter ?? last, what }
      }
    },
  },
  {
    name: 'end-once',
    says: 'Writeback is ended once per start.',
    kernel:
      'VM_BUG_ON_FOLIO(!folio_test_writeback(folio)); else the count of pages under writeback is wrong, and a waiter continues too early',
    traces: true,
    at(event, ledger) {
      if (event.name !== 'end') return null
      const { started, lastStart, pass } = ledger.folio(event.index)
      // The recording may lack a start before this end.
      if (started !== null || lastStart === null) return null
      return { index: event.index, pass, began: lastStart, broke: event, what: 'writeback is ended twice' }
    },
  },
  {
    name: 'unlock-held',
    says: 'Nobody unlocks a folio that is not locked.',
    kernel: 'VM_BUG_ON_FOLIO(!folio_test_locked(folio)); else two tasks hold the lock of one folio',
    traces: true,
    at(event, ledger) {
      if (event.name !== 'unlock' || event.locked) return null
      const { pass, lastUnlock } = ledger.folio(event.index)
      const what = 'the folio is unlocked, but no task holds its lock'
      return { index: event.index, pass, began: lastUnlock ?? event, broke: event, what }
    },
  },
  {
    name: 'unlock-returned',
    says: 'The folio that writeback_iter returned is unlocked before it is handed back, or by the completion of its write.',
    kernel: 'the next task that locks the folio hangs in folio_lock: the next pass, a read, a truncation',
    traces: false,
    *atEnd(ledger, { last }) {
      for (const [index, { pass, lastUnlock, removed }] of ledger.folios) {
        const began = pass?.returned.get(index)
        if (pass === null || began === undefined || lastUnlock !== null || removed !== null) continue
        if (!pass.ended) continue
        const waiter = waiterOf(ledger, 'lockwait', index)
        if (!ledger.recordsUnlocks && waiter === null) continue
        const what = `the folio was returned and never unlocked${waits(waiter)}`
        yield { index, pass, began, broke: waiter ?? last, what }
      }
    },
  },
  {
    name: 'written',
    says: 'A folio that an integrity pass returned is started, redirtied, or handed back with an error.',
    kernel:
      'its dirty flag is clear: fsync returns 0, the data is not on disk, and is lost when the folio is reclaimed',
    traces: false,
    *atEnd(ledger) {
      for (const pass of ledger.passes) {
        // jbd2's own passes clean folios whose data is already in the journal.
        if (!pass.ended || !pass.control.syncAll || pass.error !== 0 || pass.comm.startsWith('jbd2/'))
          continue
        for (const [index, began] of pass.returned) {
          const folio = ledger.folios.get(index)
          if (folio === undefined || folio.removed !== null || folio.pass !== pass || pass.last === null)
            continue
          const since = (event: LiveEvent | null) => event !== null && event.time > began.time
          if (since(folio.lastStart) || since(folio.lastRedirty) || since(folio.dirty)) continue
          const what = 'the folio was returned, and neither written nor redirtied'
          yield { index, pass, began, broke: pass.last, what }
        }
      }
    },
  },
  {
    name: 'integrity',
    says: 'What was dirty when an integrity pass began has been started when it ends, or is dirty with an error.',
    kernel: 'fsync returns 0, and the data is not on disk',
    traces: true,
    at(event, ledger) {
      if (event.name !== 'next' || event.folio !== null || event.error !== 0) return null
      const pass = ledger.passOf(event)
      if (pass === undefined) return null
      for (const [index, began] of pass.tagged) {
        if (ledger.folio(index).dirty !== began) continue
        return {
          index,
          pass,
          began,
          broke: event,
          what: 'the folio was dirty when the pass began, and still is when it ends',
        }
      }
      return null
    },
  },
  {
    name: 'towrite',
    says: 'An integrity pass leaves no TOWRITE on the folios that it wrote; only a folio that stays dirty keeps it.',
    kernel:
      'the mark stays on a clean folio: every later integrity pass looks at it again, and a livelock is possible',
    traces: false,
    at(event, ledger) {
      if (event.name !== 'start' || !event.keep || event.dirty) return null
      const pass = ledger.holderOf(event.index, event.pid)
      if (pass === null || !pass.control.syncAll) return null
      const began = pass.inHand ?? event
      return {
        index: event.index,
        pass,
        began,
        broke: event,
        what: 'writeback of the whole folio keeps TOWRITE',
      }
    },
  },
  {
    name: 'remove-written',
    says: 'A folio is not removed while it is under writeback.',
    kernel: 'the device still reads memory that has been freed, and the end of the write is on a freed folio',
    traces: true,
    at(event, ledger) {
      if (event.name !== 'delete' || !event.writeback) return null
      return underWriteback(event, ledger, 'the folio is removed under writeback')
    },
    atEnd: removedWhileWritten,
  },
]
