// Weights from the page's own server: the model's file, and those of its chunks when they are looked at.

import { sha256 } from "./sha256.js";
import { readWeights } from "./weights.js";

const PAUSE = 5000; // ms, before what could not be loaded is asked for again
const ALIKE = 1e5; // bytes: files whose sizes are the same to so much come in the order in which they are wanted

/** The answer to a request for one of the page's files. */
export async function fetched(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${answer.statusText}`);
  return answer;
}

/** The content of a weights file (see readWeights) that the facts name. */
export async function weightsIn({ file, sha256: wanted }) {
  const buffer = await (await fetched(file)).arrayBuffer();
  if ((await sha256(buffer)) !== wanted) throw new Error("the model's weights do not have the hash they should: load the page again");
  return readWeights(buffer);
}

export class Loader {
  #coming = new Map(); // promises of chunks on their way, by number
  #wanted = [];
  #faults = new Map(); // {reason, when}, by number

  /** For the facts' `files` of an emulator's chunks; `came(number, description)` hears of each, `failed()` of what did not. */
  constructor(emulator, files, came, failed) {
    Object.assign(this, { emulator, files, came, failed, pause: PAUSE });
  }

  /** Have chunks loaded before what was wanted until now, the small ones first, so that there is soon something to see. */
  want(numbers) {
    this.#wanted = this.#smallFirst(numbers).filter((number) => !this.emulator.chunks[number].loaded);
    this.#next();
  }

  /** Resolves once one of these chunks is there, the one that comes first. */
  async first(numbers) {
    await this.all(this.#smallFirst(numbers).slice(0, 1));
  }

  #smallFirst(numbers) {
    const size = (number) => Math.round(this.files[number].bytes / ALIKE);
    return numbers.toSorted((one, other) => size(one) - size(other));
  }

  /** Resolves once these chunks are there; rejects with the reason why one of them is not. */
  async all(numbers) {
    for (const number of numbers) if (!this.emulator.chunks[number].loaded) await this.#load(number);
  }

  /** Why a chunk could not be loaded, or undefined. */
  fault(number) {
    return this.#faults.get(number)?.reason;
  }

  #next() {
    const now = performance.now();
    const failed = (number) => now - (this.#faults.get(number)?.when ?? -Infinity) < this.pause;
    if (this.#wanted.some((number) => this.#coming.has(number))) return; // one after the other
    const next = this.#wanted.find((number) => !failed(number));
    if (next !== undefined) this.#load(next).catch(() => {}); // said by `failed`
  }

  #load(number) {
    if (!this.#coming.has(number)) this.#coming.set(number, this.#take(number));
    return this.#coming.get(number);
  }

  async #take(number) {
    let found;
    try {
      found = await weightsIn(this.files[number]);
      this.emulator.chunks[number].take(found);
    } catch (error) {
      this.#faults.set(number, { reason: error.message, when: performance.now() });
      this.#done(number);
      this.failed(error);
      throw error;
    }
    this.#faults.delete(number);
    this.#done(number);
    this.came(number, found.description);
  }

  #done(number) {
    this.#coming.delete(number);
    this.want(this.#wanted);
  }
}
