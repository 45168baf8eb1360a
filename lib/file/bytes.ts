// SPDX-License-Identifier: GPL-2.0-only
// The memory that a user hands over, whatever its object says of itself.

import { types } from 'node:util'
import { invalid } from '../errors.js'

/** The accessors of every view, which neither a subclass nor the object itself can override. */
function accessors(prototype: object) {
  const accessor = <T>(name: string): ((view: object) => T) => {
    const { get } = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor
    return (view) => Reflect.apply(get as () => T, view, [])
  }
  return {
    buffer: accessor<ArrayBufferLike>('buffer'),
    byteOffset: accessor<number>('byteOffset'),
    byteLength: accessor<number>('byteLength'),
  }
}

const typedArrays = accessors(Object.getPrototypeOf(Uint8Array.prototype))
const dataViews = accessors(DataView.prototype)

/** The length of a view; 0 if it is detached. */
export const byteLength: (view: Uint8Array) => number = typedArrays.byteLength

/** The same bytes as a plain Uint8Array: a subclass would run its own code when it is used. */
export function plainBytes(view: ArrayBufferView): Uint8Array {
  const { buffer, byteOffset, byteLength } = types.isDataView(view) ? dataViews : typedArrays
  const length = byteLength(view)
  // There is no view of a detached buffer, whose length is 0.
  return length === 0 ? new Uint8Array(0) : new Uint8Array(buffer(view), byteOffset(view), length)
}

/** The bytes of any view: a Uint8Array as it is, be it of a subclass. */
export function checkBytes(what: string, value: unknown): Uint8Array {
  if (types.isUint8Array(value)) return value
  if (!ArrayBuffer.isView(value)) throw invalid(what, value, 'a Buffer, a TypedArray or a DataView')
  return plainBytes(value)
}
