// Shows the contract of the service that served this page, and lets its requests be tried against it.
"use strict";

window.addEventListener("load", () => {
  SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#viewer",
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    docExpansion: "list",
    filter: true,
    persistAuthorization: false, // a key is forgotten with the page
    queryConfigEnabled: false, // a link must not make this page show another contract
    tagsSorter: undefined, // the contract's own order
    validatorUrl: null, // else the contract would be sent to a service elsewhere
  });
});
