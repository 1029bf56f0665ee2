// Put into the page of a call by bench.call: reads time codes out of a video, and flashes and beeps.
(() => {
  const BLOCK = 16, COLUMNS = 8, ROWS = 4, CHECK = 6n;
  const wall = (time) => performance.timeOrigin + time;

  // As bench/timecode.py has it.
  const check = (code) => ((code * 0x9E3779B1n + 0x2545F491n) >> 20n) & ((1n << CHECK) - 1n);

  /** The code in a picture's grey levels, COLUMNS x ROWS blocks; null if there is none. */
  function read(data) {
    const levels = [];
    for (let row = 0; row < ROWS; row++) {
      for (let column = 0; column < COLUMNS; column++) {
        let sum = 0;
        for (let y = BLOCK / 4; y < (3 * BLOCK) / 4; y++) {
          for (let x = BLOCK / 4; x < (3 * BLOCK) / 4; x++) {
            sum += data[(row * BLOCK + y) * COLUMNS * BLOCK + column * BLOCK + x];
          }
        }
        levels.push(sum / (BLOCK * BLOCK / 4));
      }
    }
    const [white, black] = levels;
    if (white - black < 64) return null;
    let word = 0n;
    for (const level of levels.slice(2)) word = (word << 1n) | (level > (white + black) / 2 ? 1n : 0n);
    const code = word >> CHECK;
    return check(code) === (word & ((1n << CHECK) - 1n)) ? Number(code) : null;
  }

  const notes = { rows: [], unread: 0, frames: 0, flashes: [], beeps: [] };

  // A rectangle of a decoded picture as it is: drawing it on a canvas would convert all of it.
  async function part(frame, x, y, width, height) {
    const rect = { x, y, width, height };
    const data = new Uint8Array(frame.allocationSize({ rect }));
    await frame.copyTo(data, { rect });
    return data; // its grey levels come first
  }

  notes.watch = (id) => {
    const video = document.getElementById(id);
    let lit = null;
    const look = async (now, metadata) => {
      const seen = wall(performance.now());
      video.requestVideoFrameCallback(look);
      if (video.readyState < video.HAVE_CURRENT_DATA) return; // its source was just changed
      const frame = new VideoFrame(video);
      const code = read(await part(frame, 0, 0, COLUMNS * BLOCK, ROWS * BLOCK));
      notes.frames += 1;
      if (code === null) notes.unread += 1;
      else {
        const { captureTime, receiveTime } = metadata;
        notes.rows.push([code, seen, captureTime ? wall(captureTime) : null, receiveTime ? wall(receiveTime) : null]);
      }
      const bright = (await part(frame, frame.codedWidth - 32, 32, 2, 2))[0] > 128;
      frame.close();
      if (bright && lit === false) notes.flashes.push(seen);
      lit = bright;
    };
    video.requestVideoFrameCallback(look);
  };

  notes.listen = async () => {
    const audio = new AudioContext();
    await audio.resume();
    const analyser = audio.createAnalyser();
    analyser.fftSize = 256;
    audio.createMediaStreamSource(document.getElementById("theirs").srcObject).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    let loudAt = 0;
    setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      if (!samples.some((one) => Math.abs(one) > 0.05)) return;
      const now = performance.now();
      if (now - loudAt > 300) notes.beeps.push(wall(now));
      loudAt = now;
    }, 4);
  };

  notes.take = () => {
    const taken = { rows: notes.rows, unread: notes.unread, frames: notes.frames };
    notes.rows = [];
    notes.unread = notes.frames = 0;
    return taken;
  };

  notes.stats = async () => {
    const found = { made_at: livehead.madeAt };
    for (const one of (await livehead.connection.getStats()).values()) {
      if (one.type !== "inbound-rtp") continue;
      found[one.kind] = {
        decoded: one.framesDecoded, dropped: one.framesDropped, lost: one.packetsLost, bytes: one.bytesReceived,
        freezes: one.freezeCount, frozen_s: one.totalFreezesDuration, nacks: one.nackCount, plis: one.pliCount,
        concealed: one.concealedSamples, samples: one.totalSamplesReceived, held_s: one.jitterBufferDelay,
        held: one.jitterBufferEmittedCount, target_s: one.jitterBufferTargetDelay,
        least_s: one.jitterBufferMinimumDelay, keyframes: one.keyFramesDecoded,
      };
    }
    return found;
  };

  window.bench = notes;
})();
