// SPDX-License-Identifier: GPL-2.0-only
// The page of `writeback-iter view`.

import type { PageData } from '../data.js'
import { readColours } from './colours.js'
import { PageMap } from './map.js'
import { showPass } from './pass_panel.js'
import { Scrub } from './scrub.js'
import { Timeline } from './timeline.js'
import { changeWords, effectWords, number, stateWords } from './words.js'

function get<E extends HTMLElement = HTMLElement>(id: string): E {
  return document.getElementById(id) as E
}

async function readData(): Promise<PageData> {
  const packed = atob(get('data').textContent ?? '')
  const bytes = new Uint8Array(packed.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = packed.charCodeAt(i)
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))
  return new Response(stream).json()
}

class View {
  readonly #data: PageData
  readonly #timelines = new Map<number, Timeline>()
  readonly #map: PageMap
  readonly #scrub: Scrub
  #colours = readColours()
  timeline: Timeline
  #mapping: number
  /** The pass that the user selected in the picture; null for the current pass. */
  #chosen: number | null = null
  /** Number of the current finding, since several may have broken in one step; -1 for none. */
  #found = -1
  #playing = 0

  constructor(data: PageData) {
    this.#data = data
    this.#mapping = data.at.mapping
    this.timeline = this.#open(this.#mapping)
    this.#map = new PageMap(get('map'), get('scroller'), get('extent'), this.timeline)
    this.#scrub = new Scrub(get('scrub'), this.timeline)
    this.#describe()
    this.#listen()
    this.show(this.#mapping, data.at.step)
  }

  #open(mapping: number): Timeline {
    const known = this.#timelines.get(mapping) ?? new Timeline(this.#data.mappings[mapping])
    this.#timelines.set(mapping, known)
    return known
  }

  #describe(): void {
    const { file, backend, fields, mappings } = this.#data
    get('title').textContent = file
    const kernel = fields.find(([key]) => key === 'kernel')?.[1]
    get('source').textContent =
      `replayed on ${backend}${kernel === undefined ? '' : `; recorded on ${kernel}`}`
    const select = get<HTMLSelectElement>('mapping')
    select.replaceChildren(
      ...mappings.map(({ name, lines, passes }, i) => {
        const option = document.createElement('option')
        option.value = String(i)
        option.textContent = `${name}: ${number(lines.length)} steps, ${number(passes.length)} passes`
        return option
      }),
    )
  }

  /** Shows a page cache after `step` steps. */
  show(mapping: number, step: number): void {
    this.#mapping = mapping
    this.timeline = this.#open(mapping)
    this.#chosen = null
    this.#found = -1
    get<HTMLSelectElement>('mapping').value = String(mapping)
    get<HTMLInputElement>('slider').max = String(this.timeline.length)
    const { length } = this.timeline.data.findings
    get('findings').hidden = length === 0
    get('findings-count').textContent = `${number(length)} finding${length === 1 ? '' : 's'}`
    this.#map.show(this.timeline)
    this.#scrub.show(this.timeline)
    this.go(step)
  }

  go(step: number): void {
    const { timeline } = this
    timeline.go(step)
    const slider = get<HTMLInputElement>('slider')
    slider.value = String(timeline.step)
    slider.setAttribute('aria-valuetext', this.#where())
    get('position').textContent = this.#where()
    get('event').textContent = timeline.step === 0 ? ' ' : timeline.text[timeline.step - 1]
    get('effect').textContent = `${this.#who()}${effectWords(timeline)}`
    get('counts').textContent =
      `${number(timeline.cachedPages)} pages in the cache, ${number(timeline.dirtyPages)} dirty, ` +
      `${number(timeline.writebackPages)} under writeback`
    this.#showDivergence()
    this.#showFinding()
    this.#map.batch = showPass(timeline, this.#chosen ?? timeline.currentPass)
    this.#showHistory()
    this.#follow()
    this.draw()
  }

  #where(): string {
    const { step, length, line } = this.timeline
    const at = step === 0 ? '' : `, line ${line[step - 1]}`
    return `step ${number(step)} of ${number(length)}${at}`
  }

  #who(): string {
    const { step, data, time } = this.timeline
    if (step === 0 || data.times.length === 0) return ''
    const task = this.#data.tasks[data.taskOf[step - 1]]
    const caller = data.callers[data.callerOf[step - 1]]
    if (task === undefined) return ''
    return `${task.comm} ${task.pid}${caller === undefined ? '' : ` in ${caller}`} at ${time[step - 1]}: `
  }

  #showDivergence(): void {
    const { divergence } = this.timeline.data
    const here = divergence !== null && this.timeline.step === this.timeline.length
    get('divergence').hidden = !here
    if (here) {
      const { expected, got, backend } = divergence
      get('divergence').textContent =
        `Here the replay diverges. Expected «${expected}», got «${got}» (${backend}).`
    }
  }

  /** Shows the finding whose rule broke in this step, or that began in it. */
  #showFinding(): void {
    const { findings } = this.timeline.data
    if (!this.timeline.showsFinding(this.#found)) this.#found = this.timeline.findingAt()
    const found = this.#found
    get('finding').hidden = found < 0
    this.#map.finding = found < 0 ? null : findings[found].folio
    if (found < 0) return
    const { rule, folio, lines, began, broke, what, who, kernel } = findings[found]
    const link = (line: number, step: number) => {
      const button = document.createElement('button')
      button.type = 'button'
      button.textContent = `line ${line}`
      button.addEventListener('click', () => this.go(step + 1))
      return button
    }
    const name = document.createElement('b')
    name.textContent = rule
    get('finding-what').replaceChildren(
      `Finding ${found + 1} of ${findings.length}: `,
      name,
      `: ${folio === null ? '' : `folio ${folio}: `}${what}. It began at `,
      link(lines[0], began),
      ' and broke at ',
      link(lines[1], broke),
      '.',
    )
    get('finding-who').textContent = who === '' ? '' : `The pass: ${who}.`
    get('finding-kernel').textContent = `The kernel: ${kernel}.`
  }

  /** Scrolls to what the step changed, or to the folio of the finding. */
  #follow(): void {
    const { step, changeFrom, changeFolio, index } = this.timeline
    if (this.#map.finding !== null) this.#map.reveal(this.#map.finding)
    else if (step > 0 && changeFrom[step] > changeFrom[step - 1])
      this.#map.reveal(index[changeFolio[changeFrom[step - 1]]])
  }

  #showHistory(): void {
    const page = this.#map.selected
    if (page === null) return
    const folio = this.timeline.folioAt(page)
    get('history-title').textContent =
      `Page ${page}: ${stateWords(folio < 0 ? 0 : this.timeline.state[folio])}`
    const items = this.timeline.history(page, 50).map(({ step, was, to }) => {
      const item = document.createElement('li')
      const button = document.createElement('button')
      button.type = 'button'
      button.textContent = `${this.timeline.line[step]}`
      button.title = `to line ${this.timeline.line[step]}`
      button.addEventListener('click', () => this.go(step + 1))
      item.append(button, ` ${this.timeline.text[step].split(' ')[0]}: ${changeWords(was, to)}`)
      return item
    })
    get('history').replaceChildren(...items)
  }

  draw(): void {
    this.#map.draw(this.#colours)
    this.#scrub.draw(this.#colours)
  }

  select(page: number | null): void {
    this.#map.selected = page
    if (page === null) {
      get('history-title').textContent = 'History'
      get('history').replaceChildren()
    } else {
      this.#map.reveal(page)
      this.#showHistory()
    }
    this.#map.draw(this.#colours)
  }

  zoom(by: -1 | 0 | 1): void {
    this.#map.setZoom(by)
    this.#map.draw(this.#colours)
  }

  get zoomLevel(): number {
    return this.#map.zoom
  }

  play(on: boolean): void {
    cancelAnimationFrame(this.#playing)
    this.#playing = 0
    get('play').setAttribute('aria-pressed', String(on))
    get('play').textContent = on ? 'Stop' : 'Play'
    get('effect').setAttribute('aria-live', on ? 'off' : 'polite')
    if (!on) return
    let shown = performance.now()
    const frame = (now: number) => {
      const steps = Math.floor(((now - shown) / 1000) * Number(get<HTMLSelectElement>('speed').value))
      if (steps > 0) {
        shown = now
        this.go(this.timeline.step + steps)
      }
      if (this.timeline.step < this.timeline.length) this.#playing = requestAnimationFrame(frame)
      else this.play(false)
    }
    this.#playing = requestAnimationFrame(frame)
  }

  finding(direction: -1 | 1): void {
    this.#found = this.timeline.findingBeside(this.#found, direction)
    if (this.#found >= 0) this.go(this.timeline.data.findings[this.#found].broke + 1)
  }

  pass(direction: -1 | 1): void {
    this.go(this.timeline.passBeside(direction) ?? this.timeline.step)
  }

  #listen(): void {
    const click = (id: string, action: () => void) => get(id).addEventListener('click', action)
    click('first', () => this.go(0))
    click('back', () => this.go(this.timeline.step - 1))
    click('forward', () => this.go(this.timeline.step + 1))
    click('last', () => this.go(this.timeline.length))
    click('previous-pass', () => this.pass(-1))
    click('next-pass', () => this.pass(1))
    click('previous-finding', () => this.finding(-1))
    click('next-finding', () => this.finding(1))
    click('play', () => this.play(this.#playing === 0))
    click('zoom-in', () => this.zoom(1))
    click('zoom-out', () => this.zoom(-1))
    click('zoom-fit', () => this.zoom(0))
    click('help-button', () => get<HTMLDialogElement>('help').showModal())
    get('slider').addEventListener('input', () => this.go(Number(get<HTMLInputElement>('slider').value)))
    get('mapping').addEventListener('change', () =>
      this.show(Number(get<HTMLSelectElement>('mapping').value), 0),
    )
    this.#listenForm('go-line', 'line', (line) => this.go(this.timeline.stepOfLine(line)))
    this.#listenForm('go-page', 'page', (page) => this.select(page))
    document.addEventListener('keydown', (event) => this.#key(event))
    get('scroller').addEventListener('scroll', () => this.#map.draw(this.#colours))
    const relayout = () => {
      this.#map.relayout()
      this.draw()
    }
    new ResizeObserver(relayout).observe(get('scroller'))
    addEventListener('resize', relayout)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#colours = readColours()
      this.draw()
    })
    this.#listenPointer()
  }

  #listenForm(form: string, input: string, action: (value: number) => void): void {
    get(form).addEventListener('submit', (event) => {
      event.preventDefault()
      const text = get<HTMLInputElement>(input).value.trim()
      if (/^\d+$/.test(text)) action(Number(text))
      get(input).blur()
    })
  }

  #listenPointer(): void {
    const scrub = get('scrub')
    scrub.addEventListener('pointerdown', (event) => {
      scrub.setPointerCapture(event.pointerId)
      this.#chosen = this.#scrub.passAt(event)
      this.go(this.#scrub.stepAt(event))
    })
    scrub.addEventListener('pointermove', (event) => {
      if (event.buttons === 1) this.go(this.#scrub.stepAt(event))
    })
    const canvas = get('map')
    canvas.addEventListener('pointermove', (event) => this.#tip(event))
    canvas.addEventListener('pointerleave', () => (get('tip').hidden = true))
    canvas.addEventListener('click', (event) => this.select(this.#map.pageAt(event)))
  }

  #tip(event: MouseEvent): void {
    const page = this.#map.pageAt(event)
    const tip = get('tip')
    tip.hidden = page === null
    if (page === null) return
    const { timeline } = this
    const folio = timeline.folioAt(page)
    const name =
      folio < 0 || timeline.pages[folio] === 1
        ? ''
        : `, folio ${timeline.index[folio]} of ${timeline.pages[folio]} pages`
    const lines = [`page ${page}${name}`, stateWords(folio < 0 ? 0 : timeline.state[folio])]
    for (const { step, was, to } of timeline.history(page, 8)) {
      lines.push(`line ${timeline.line[step]}  ${timeline.text[step].split(' ')[0]}: ${changeWords(was, to)}`)
    }
    tip.textContent = lines.join('\n')
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - 390)}px`
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 4)}px`
  }

  readonly #keys: Readonly<Record<string, () => void>> = {
    ArrowRight: () => this.go(this.timeline.step + 1),
    ArrowLeft: () => this.go(this.timeline.step - 1),
    PageDown: () => this.go(this.timeline.step + 100),
    PageUp: () => this.go(this.timeline.step - 100),
    Home: () => this.go(0),
    End: () => this.go(this.timeline.length),
    '[': () => this.pass(-1),
    ']': () => this.pass(1),
    F: () => this.finding(-1),
    f: () => this.finding(1),
    ' ': () => this.play(this.#playing === 0),
    '+': () => this.zoom(1),
    '-': () => this.zoom(-1),
    '0': () => this.zoom(0),
    l: () => get('line').focus(),
    p: () => get('page').focus(),
    '?': () => get<HTMLDialogElement>('help').showModal(),
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || get<HTMLDialogElement>('help').open) return
    const at = event.target as HTMLElement
    if (at.matches('input:not([type=range]), select') || (at.matches('button') && event.key === ' ')) return
    const action = this.#keys[event.key]
    if (action === undefined) return
    event.preventDefault()
    action()
  }
}

declare global {
  interface Window {
    /** The view, after it is drawn. */
    view?: View
  }
}

readData()
  .then((data) => {
    window.view = new View(data)
  })
  .catch((error: unknown) => {
    document.body.textContent = `This page cannot be shown: ${error}`
  })
