// SHA-256 (FIPS 180-4). Browsers have crypto.subtle only on pages of files and of HTTPS, not on those of HTTP.
const PRIMES = [2];
for (let number = 3; PRIMES.length < 64; number += 2) if (PRIMES.every(prime => number % prime)) PRIMES.push(number);
const fraction = value => value % 1 * 2 ** 32;  // first 32 bits, as an integer of typed arrays
const ROUNDS = Uint32Array.from(PRIMES, prime => fraction(Math.cbrt(prime)));
const rotate = (word, bits) => word >>> bits | word << 32 - bits;

// Add a block of 64 bytes to the eight words of a hash.
function addBlock(hash, view, start, words) {
  for (let at = 0; at < 64; at++) {
    if (at < 16) words[at] = view.getUint32(start + 4 * at);
    else {
      const [near, far] = [words[at - 2], words[at - 15]];
      words[at] = words[at - 16] + words[at - 7]
        + (rotate(far, 7) ^ rotate(far, 18) ^ far >>> 3) + (rotate(near, 17) ^ rotate(near, 19) ^ near >>> 10);
    }
  }
  let [a, b, c, d, e, f, g, h] = hash;
  for (let at = 0; at < 64; at++) {
    const first = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (e & f ^ ~e & g) + ROUNDS[at] + words[at];
    const second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + (a & b ^ a & c ^ b & c);
    h = g; g = f; f = e; e = d + first | 0; d = c; c = b; b = a; a = first + second | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((word, at) => hash[at] += word);
}

// Checksum of bytes in hexadecimal digits.
function sha256(data) {
  const hash = Uint32Array.from(PRIMES.slice(0, 8), prime => fraction(Math.sqrt(prime))), words = new Uint32Array(64);
  const rest = data.subarray(data.length - data.length % 64), end = new Uint8Array(rest.length < 56 ? 64 : 128);
  end.set(rest);
  end[rest.length] = 128;
  new DataView(end.buffer).setBigUint64(end.length - 8, 8n * BigInt(data.length));
  for (const part of [data.subarray(0, data.length - rest.length), end]) {
    const view = new DataView(part.buffer, part.byteOffset, part.length);
    for (let start = 0; start < part.length; start += 64) addBlock(hash, view, start, words);
  }
  return [...hash].map(word => word.toString(16).padStart(8, "0")).join("");
}
