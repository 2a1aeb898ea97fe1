// The other side of mnist3/web/offline.js: gets the network once, and then what is to be read.

import { fileReader } from "./reader.js";

let read = null;

onmessage = ({ data: { network, weights, source, withMaps } }) => {
  try {
    if (network) read = fileReader(network, weights);
    else postMessage({ fields: read(source, withMaps) });
  } catch (error) {
    postMessage({ fault: error.message });
  }
};
