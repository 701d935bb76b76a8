"""Rolling deploys: web, workers and mirror are replaced under load, in every order."""
