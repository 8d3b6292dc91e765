// Unsaved drawings in the browser's database, by folder and session.
class UnsavedStore {
  #database;

  constructor(session) {
    this.key = `${location.pathname.replace(/[^/]*$/, "")}${session}`;
    this.#database = new Promise((resolve, reject) => {
      const request = indexedDB.open("bids_stroke drawings", 1);
      request.onupgradeneeded = () => request.result.createObjectStore("drawings");
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    this.#database.catch(() => {});  // each call reports the error
  }

  async #run(mode, act) {
    const transaction = (await this.#database).transaction("drawings", mode);
    const request = act(transaction.objectStore("drawings"));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  }

  read() {
    return this.#run("readonly", store => store.get(this.key));
  }

  write(entry) {
    return this.#run("readwrite", store => store.put(entry, this.key));
  }

  remove() {
    return this.#run("readwrite", store => store.delete(this.key));
  }
}
